return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1}
  local function sample(options) return { inputs = { crun.randn(rng, 6, 4), labels }, options = options } end
  return {
    sample { margin = 1 }, sample { margin = 3, distance = "euclidean", reduction = "mean" },
    sample { margin = 1.5, reduction = "nonzero" },
    { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 6, 4), labels }, options = { margin = 1 } },
  }
end
