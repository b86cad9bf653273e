return function(crun, rng)
  return {
    { inputs = { { crun.randn(rng, 2, 3), crun.randn(rng, 4, 3) } }, options = { dim = 1 } },
    { inputs = { { crun.randn(rng, 2, 3), crun.randn(rng, 2, 1), crun.randn(rng, 2, 2) } }, options = { dim = -1 } },
  }
end
