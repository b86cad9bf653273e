return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1}
  return {
    { inputs = { crun.randn(rng, 6, 4), labels } },
    { inputs = { crun.randn(rng, 6, 4), labels }, options = { negative_margin = -0.5, reduction = "nonzero" } },
    { inputs = { crun.randn(rng, 4, 5), crun.arange(1, 4):int(), crun.randn(rng, 4, 5), crun.arange(1, 4):int() } },
  }
end
