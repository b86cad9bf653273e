return function(crun, rng)
  return { inputs = { crun.randn(rng, 3, 6) }, options = { dim = 2, index = -2 } }
end
