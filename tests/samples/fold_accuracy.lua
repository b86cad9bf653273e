return function(crun, rng)
  return { inputs = { crun.randn(rng, 20), crun.randint(rng, 2, 20) - 1 }, options = { folds = 4 } }
end
