return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 4, 5), crun.randint(rng, 5, 3, 7) }, options = { dim = 2 } },
    { inputs = { crun.randn(rng, 4, 5), crun.randint(rng, 4, 6, 5) }, options = { dim = 1 } },
  }
end
