return function(crun, rng)
  return { inputs = { crun.randn(rng, 4, 10) }, options = { p = 0.3, seed = 7, place = { 2, 1 } } }
end
