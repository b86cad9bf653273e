return function(crun, rng)
  return { inputs = { crun.rand(rng, 6) * 2, crun.tensor {1, -1, 1, -1, -1, 1} } }
end
