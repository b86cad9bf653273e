return function(crun, rng)
  return { inputs = { crun.tensor { -1, -0.5, 0, 0, 1 }, crun.randn(rng, 3, 4) } }
end
