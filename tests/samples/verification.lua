return function(crun, rng)
  return { inputs = { crun.randn(rng, 6), crun.byte {1, 0, 1, 0, 0, 1} } }
end
