return function(crun, rng)
  local function draw(b, d, options)
    return { inputs = { crun.randn(rng, b, d), crun.randn(rng, b, d) }, options = options }
  end
  return { draw(6, 4, {}), draw(4, 7, { lambda = 0.1, eps = 1e-2, scale = 0.5 }) }
end
