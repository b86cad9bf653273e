return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1}
  local function sample(options) return { inputs = { crun.randn(rng, 6, 4), labels }, options = options } end
  return {
    sample { neg_margin = 3 }, sample { neg_margin = 2, pos_margin = 0.5, normalize = true, reduction = "sides" },
    sample { neg_margin = 3, reduction = "mean" }, sample { neg_margin = 3, reduction = "sum" },
    { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 6, 4), labels },
      options = { neg_margin = 3, normalize = true } },
  }
end
