return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 3, 4), crun.rand(rng, 3, 4), nil, crun.rand(rng, 4) + 0.5 } },
    { inputs = { crun.randn(rng, 3, 4), crun.rand(rng, 3, 4), crun.rand(rng, 3, 4) }, options = { reduction = "none" } },
    { inputs = { crun.rand(rng, 3, 4) * 0.8 + 0.1, crun.rand(rng, 3, 4) }, options = { from = "probabilities" } },
  }
end
