return function(crun, rng)
  return { inputs = { crun.randn(rng, 5, 6) }, options = { start = { 2, -5 }, stop = { 4, -1 }, step = { 2, 3 } } }
end
