return function(crun, rng)
  return { inputs = { crun.randn(rng, 9), crun.randint(rng, 4, 9) }, options = { segments = 5, empty = 0 } }
end
