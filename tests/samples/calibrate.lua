return function(crun, rng)
  return { inputs = { crun.randn(rng, 12), crun.byte { 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 0 } }, options = { samples = 5 } }
end
