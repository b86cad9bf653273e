return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1}
  return {
    { inputs = { crun.randn(rng, 6, 4), labels } },
    { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 6, 4), labels }, options = { k = {1, 3} } },
  }
end
