return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 5, 3, 4), crun.int { 3, 1, 2, 3, 2 }, crun.int { 4, 4, 1, 2, 3 } },
      options = { gamma = 0.5 } },
    { inputs = { crun.randn(rng, 2, 3, 4) }, options = { gamma = 2 } },
    { inputs = { crun.rand(rng, 2, 3, 4) }, options = { gamma = 1e-9 } },     -- the usual form
  }
end
