return function(crun, rng)
  return { inputs = { crun.randn(rng, 7, 4), crun.int {1, 1, 2, 2, 3, 3, 4} } }
end
