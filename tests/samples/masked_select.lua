return function(crun, rng)
  return { inputs = { crun.randn(rng, 4, 5), (crun.randint(rng, 2, 4, 5) - 1):byte() } }
end
