return function(crun, rng)
  local labels = crun.int {1, 3, 2, 3, 1}
  local function sample(options, weights) return { inputs = { crun.randn(rng, 5, 3), labels, weights }, options = options } end
  return {
    sample {}, sample({ label_smoothing = 0.2 }, crun.rand(rng, 3) + 0.5), sample { reduction = "none" },
    sample({ reduction = "sum", ignore_index = 3 }, crun.rand(rng, 3) + 0.5),
    { inputs = { crun.randn(rng, 5, 3), crun.rand(rng, 5, 3) }, options = { label_smoothing = 0.1 } },
  }
end
