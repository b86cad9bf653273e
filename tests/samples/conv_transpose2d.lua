return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(2, 3, 4, 3), r(3, 2, 3, 3), r(2) } },
    { inputs = { r(2, 4, 3, 4), r(4, 3, 3, 2), r(6) },
      options = { stride = { 2, 3 }, padding = 1, output_padding = { 1, 2 }, dilation = { 1, 2 }, groups = 2 } },
  }
end
