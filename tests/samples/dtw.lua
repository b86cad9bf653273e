return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 3, 4, 2), crun.randn(rng, 3, 5, 2) }, options = { path = true } },
    { inputs = { crun.randn(rng, 3, 4, 2), crun.randn(rng, 3, 5, 2) }, options = {} },
  }
end
