return function(crun, rng)
  local image = crun.randint(rng, 256, { 2, 9, 7 }):byte()
  return { { inputs = { image }, options = { height = 4, width = 11 } },
      { inputs = { image[1] }, options = { height = 20, width = 3 } } }
end
