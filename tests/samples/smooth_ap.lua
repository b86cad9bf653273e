return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1, 1}
  local function sample(options) return { inputs = { crun.randn(rng, 7, 4), labels }, options = options } end
  return {
    sample { tau = 0.2 }, sample {}, sample { tau = 0.5, distance = "euclidean", reduction = "sum" },
    { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 7, 4), labels }, options = { tau = 0.2 } },
  }
end
