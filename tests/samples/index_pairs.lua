return function(crun, rng)
  return { inputs = { crun.randn(rng, 4, 5), crun.randint(rng, 4, 9), crun.randint(rng, 5, 9) } }
end
