return function(crun, rng)
  local x = crun.randn(rng, 2, 3, 5, 6)
  return {
    { inputs = { x }, options = { kernel = { 2, 3 }, stride = { 1, 2 }, padding = { 1, 0 } } },
    { inputs = { x }, options = { kernel = 2, dilation = 2 } },
  }
end
