return function(crun, rng)
  return { inputs = { crun.randn(rng, 3, 2, 5), crun.randn(rng, 5) } }
end
