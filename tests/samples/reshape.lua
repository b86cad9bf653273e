return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 3, 4) }, options = { shape = { 2, -1 } } },
    { inputs = { crun.randn(rng, 3, 4):t() }, options = { shape = { 12 } } },
  }
end
