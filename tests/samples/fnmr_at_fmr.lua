return function(crun, rng)
  return { inputs = { crun.randn(rng, 9), crun.randint(rng, 2, 9) - 1, crun.tensor { 0.1, 0.5 } } }
end
