return function(crun, rng)
  local function draw(options, lengths)
    return { inputs = { crun.randn(rng, 5, 4, 2), crun.randn(rng, 5, 6, 2),
                        lengths and crun.int { 4, 1, 3, 2, 4 } or nil,
                        lengths and crun.int { 2, 6, 5, 1, 3 } or nil }, options = options }
  end
  return {
    draw { gamma = 0.5 }, draw({ gamma = 1, reduction = "none", divergence = true }, true),
    draw({ cost = "euclidean", gamma = 0.3 }, true), draw({ cost = "manhattan", divergence = true }),
  }
end
