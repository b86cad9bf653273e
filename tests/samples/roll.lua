return function(crun, rng)
  return { inputs = { crun.randn(rng, 2, 5) }, options = { shift = -7, dim = 2 } }
end
