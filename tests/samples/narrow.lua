return function(crun, rng)
  return { inputs = { crun.randn(rng, 3, 6) }, options = { dim = 2, start = 3, length = 2 } }
end
