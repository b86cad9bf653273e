return function(crun, rng)
  return { inputs = { crun.randn(rng, 4, 3), crun.randn(rng, 9, 3), crun.randint(rng, 3, 9),
    crun.randint(rng, 3, 4) }, options = { k = 4 } }
end
