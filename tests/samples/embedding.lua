return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 5, 3), crun.randint(rng, 5, 2, 4) } },
    { inputs = { crun.randn(rng, 5, 300), crun.randint(rng, 5, 9) } },
  }
end
