return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 1, 3, 1) } },
    { inputs = { crun.randn(rng, 1, 3, 1) }, options = { dims = { 3 } } },
  }
end
