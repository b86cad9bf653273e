return function(crun, rng)
  local labels = crun.int {1, 3, 2, 3}
  return {
    { inputs = { crun.randn(rng, 4, 3), labels, crun.rand(rng, 3) + 0.5 } },
    { inputs = { crun.randn(rng, 4, 3), labels }, options = { reduction = "none", ignore_index = 2 } },
  }
end
