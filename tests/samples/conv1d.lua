return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(2, 3, 8), r(4, 3, 3), r(4) }, options = { padding = 1 } },
    { inputs = { r(2, 4, 9), r(6, 2, 2), r(6) }, options = { stride = 2, dilation = 3, groups = 2 } },
  }
end
