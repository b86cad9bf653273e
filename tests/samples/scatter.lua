return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 4, 5), crun.randint(rng, 5, 4, 7), crun.randn(rng, 4, 7) }, options = { dim = 2 } },
    { inputs = { crun.randn(rng, 4, 5), crun.randint(rng, 4, 3, 5) }, options = { dim = 1, value = 0.5 } },
  }
end
