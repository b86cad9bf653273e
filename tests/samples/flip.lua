return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 2, 3, 4) }, options = { dims = { 1, 3 } } },
    { inputs = { crun.randn(rng, 2, 3) } },
  }
end
