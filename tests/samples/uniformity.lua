return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 6, 3) }, options = {} },
    { inputs = { crun.randn(rng, 6, 3) }, options = { t = 1, normalize = true } },
  }
end
