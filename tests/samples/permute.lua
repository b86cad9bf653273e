return function(crun, rng)
  return { inputs = { crun.randn(rng, 2, 3, 4) }, options = { order = { 3, 1, 2 } } }
end
