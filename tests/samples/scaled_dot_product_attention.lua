return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  local mask = (crun.randint(rng, 2, 5, 6) - 1):byte()
  return {
    { inputs = { r(2, 3, 5, 4), r(2, 3, 6, 4), r(2, 3, 6, 3) } },
    { inputs = { r(70, 4), r(70, 4), r(70, 2) }, options = { causal = true, scale = 0.4 } },
    { inputs = { r(2, 5, 4), r(2, 6, 4), r(2, 6, 3), mask } },
  }
end
