return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1, 2, 3}
  return {
    { inputs = { crun.randn(rng, 8, 4), labels }, options = { filter_percentage = 0.3, distance = "cosine" } },
    { inputs = { crun.randn(rng, 8, 4), labels } },
  }
end
