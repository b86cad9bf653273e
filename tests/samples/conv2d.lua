return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(2, 3, 6, 5), r(4, 3, 3, 3), r(4) }, options = { padding = 1 } },
    { inputs = { r(3, 4, 7, 6), r(6, 2, 3, 2), r(6) },
      options = { stride = { 2, 1 }, padding = { 1, 2 }, dilation = { 2, 1 }, groups = 2 } },
    { inputs = { r(2, 3, 4, 5), r(5, 3, 1, 1), r(5) } },
    { inputs = { r(2, 3, 5, 5), r(3, 1, 3, 3), r(3) }, options = { groups = 3 } },
    { inputs = { r(2, 2, 21, 20), r(2, 2, 3, 3) } },
  }
end
