return function(crun, rng)
  return { inputs = { crun.randn(rng, 2, 3) }, options = { repeats = 3, dim = 2 } }
end
