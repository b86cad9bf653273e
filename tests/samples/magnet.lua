return function(crun, rng)
  local clusters, classes = crun.int { 1, 2, 3, 1, 2, 3, 4, 4 }, crun.int { 7, 7, 9, 5 }
  local function x() return crun.randn(rng, 8, 3) end
  return {
    { inputs = { x(), clusters, classes }, options = { alpha = 4 } },
    { inputs = { x(), clusters, classes, crun.randn(rng, 4, 3) }, options = { reduction = "none", alpha = 4 } },
    { inputs = { x(), clusters, classes, crun.randn(rng, 4, 3), crun.scalar(0.7) }, options = {} },
  }
end
