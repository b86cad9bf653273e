return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(3, 5), r(5), r(5) } },
    { inputs = { r(3, 4, 17), r(4, 17), r(4, 17) } },
    { inputs = { r(2, 3, 4) }, options = { normalized_shape = { 3, 4 } } },
  }
end
