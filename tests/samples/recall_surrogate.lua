return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1, 1}
  local function sample(options) return { inputs = { crun.randn(rng, 7, 4), labels }, options = options } end
  return {
    sample { t2 = 0.2 }, sample { k = {1, 3}, t1 = 0.5, t2 = 0.1, measure = "precision" },
    sample { k = 2, t2 = 0.5, distance = "euclidean", reduction = "sum" },
    { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 7, 4), labels }, options = { t2 = 0.2 } },
  }
end
