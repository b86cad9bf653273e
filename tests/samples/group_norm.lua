return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(3, 4, 2, 9), r(4), r(4) }, options = { groups = 2 } },
    { inputs = { r(3, 6) }, options = { groups = 3 } },
  }
end
