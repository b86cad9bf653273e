return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 3, 4), crun.randn(rng, 3, 4):gt(0) }, options = { value = -2 } },
    { inputs = { crun.randn(rng, 3, 4), crun.randn(rng, 4):gt(0) }, options = { value = 5 } },
  }
end
