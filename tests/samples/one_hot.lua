return function(crun, rng)
  return { inputs = { crun.randint(rng, 4, 2, 3) }, options = { classes = 4 } }
end
