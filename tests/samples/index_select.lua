return function(crun, rng)
  return { inputs = { crun.randn(rng, 4, 5), crun.randint(rng, 5, 7) }, options = { dim = 2 } }
end
