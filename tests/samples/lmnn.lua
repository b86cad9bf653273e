return function(crun, rng)
  local labels, targets = crun.int {1, 2, 1, 3, 2, 1}, crun.int {{3, 6}, {5, 0}, {1, 6}, {0, 0}, {2, 0}, {3, 3}}
  local function sample(options) return { inputs = { crun.randn(rng, 6, 4), labels, targets }, options = options } end
  return { sample {}, sample { margin = 3, mu = 0.3, reduction = "mean" }, sample { normalize = true } }
end
