return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 3, 1, 4) }, options = { shape = { 2, 3, 5, -1 } } },
    { inputs = { crun.randn(rng, 4, 1) }, options = { shape = { 4, 3 } } },
    { inputs = { crun.randn(rng, 600) }, options = { shape = { 3, 600 } } },
  }
end
