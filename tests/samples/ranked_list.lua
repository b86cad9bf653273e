return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1}
  local function sample(options) return { inputs = { crun.randn(rng, 6, 4), labels }, options = options } end
  return {
    sample { alpha = 3, margin = 1.5 }, sample { alpha = 3, margin = 1, Tn = 2, Tp = 1, imbalance = 0.3 },
    sample { normalize = true, Tn = 10, Tp = 5 }, sample { alpha = 1, margin = 0.5, distance = "cosine" },
    sample { alpha = 3, reduction = "sum", squared = true }, sample { alpha = 3, reduction = "nonzero" },
    { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 6, 4), labels }, options = { alpha = 3 } },
  }
end
