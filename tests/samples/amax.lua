-- all dimensions, the last, the first, some that are not neighbours
return function(crun, rng)
  local function sample(options) return { inputs = { crun.randn(rng, 3, 2, 4) }, options = options } end
  return { sample(), sample { dim = -1 }, sample { dim = 1, keepdim = true }, sample { dim = { 1, 3 } } }
end
