return function(crun, rng)
  return { inputs = { crun.randn(rng, 2, 3) }, options = { repeats = { 2, 1, 3 } } }
end
