return function(crun, rng)
  local images = crun.randint(rng, 256, { 5, 2, 8, 9 }):byte()
  return {
    { inputs = { images }, options = {} },
    { inputs = { images, crun.int{5, 1, 5} },
      options = { flip = 0.5, shift = 0.1, scale = 0.1, rotation = 20, brightness = 0.2,
          contrast = 0.2, blur = 1, erase = 1, crop = 6 } },
  }
end
