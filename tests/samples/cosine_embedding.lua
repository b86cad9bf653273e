return function(crun, rng)
  return { inputs = { crun.randn(rng, 4, 3), crun.randn(rng, 4, 3), crun.tensor {1, -1, 1, -1} } }
end
