return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 5, 4), crun.randn(rng, 5, 4) } },
    { inputs = { crun.randn(rng, 5, 1, 4), crun.randn(rng, 3, 4) } },
    { inputs = { crun.randn(rng, 5, 4), crun.randn(rng, 5, 1) }, options = { dim = 1 } },
  }
end
