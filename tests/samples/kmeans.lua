return function(crun, rng)
  return { { inputs = { crun.randn(rng, 20, 3) }, options = { clusters = 4 } } }
end
