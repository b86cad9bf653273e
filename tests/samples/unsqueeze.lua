return function(crun, rng)
  return { inputs = { crun.randn(rng, 3, 4) }, options = { dim = 2 } }
end
