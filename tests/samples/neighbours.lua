return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 6, 4) }, options = { k = 3 } },
    { inputs = { crun.randn(rng, 3, 4), crun.randn(rng, 6, 4) }, options = { k = 6, distance = "cosine" } },
  }
end
