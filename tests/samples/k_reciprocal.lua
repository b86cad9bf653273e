return function(crun, rng)
  return { inputs = { crun.randn(rng, 30, 3) }, options = { k1 = 5, k2 = 3, width = 8 } }
end
