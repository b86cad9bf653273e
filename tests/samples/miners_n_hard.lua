return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1, 2, 3}
  return {
    { inputs = { crun.randn(rng, 8, 4), labels }, options = { n_positive = 2, n_negative = { 2, 3 } } },
    { inputs = { crun.randn(rng, 8, 4), labels } },
  }
end
