return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 3, 7) }, options = { dim = 2, sizes = { 2, 4, 1 } } },
    { inputs = { crun.randn(rng, 7, 2) }, options = { dim = 1, sizes = 3 } },
  }
end
