-- along the last, the first and the middle dimension
return function(crun, rng)
  local function sample(dim) return { inputs = { crun.randn(rng, 3, 2, 4) }, options = { dim = dim } } end
  return { sample(), sample(1), sample(2) }
end
