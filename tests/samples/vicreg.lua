return function(crun, rng)
  local function draw(b, d, options)
    return { inputs = { crun.randn(rng, b, d) * 0.5, crun.randn(rng, b, d) }, options = options }
  end
  return { draw(6, 4, {}), draw(4, 7, { variant = "paper", gamma = 2 }) }
end
