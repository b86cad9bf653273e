return function(crun, rng)
  local x, labels = crun.randn(rng, 6, 4), crun.int {1, 2, 1, 3, 2, 1}
  return {
    { inputs = { x, labels }, options = { gamma = 3 } },
    { inputs = { x, labels }, options = { gamma = 8, target = "self", reduction = "sum" } },
  }
end
