return function(crun, rng)
  local function draw(options)
    return { inputs = { crun.randn(rng, 5, 3), crun.randn(rng, 5, 3) }, options = options }
  end
  return { draw {}, draw { alpha = 1, reduction = "none" }, draw { alpha = 3, normalize = true } }
end
