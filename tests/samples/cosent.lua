return function(crun, rng)
  local scores = crun.tensor {0.2, 0.9, 0.2, 0.5, 1, 0}
  local function sample(options) return { inputs = { crun.randn(rng, 6, 4), crun.randn(rng, 6, 4), scores }, options = options } end
  return { sample { scale = 2 }, sample {} }
end
