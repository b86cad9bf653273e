return function(crun, rng)
  local x, labels = crun.randn(rng, 6, 4), crun.int {1, 2, 1, 3, 2, 1}
  return { { inputs = { x, labels } }, { inputs = { x, labels }, options = { bins = 7 } } }
end
