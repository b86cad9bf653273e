return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return { inputs = { r(2, 3, 4, 5), r(3), r(3) } }
end
