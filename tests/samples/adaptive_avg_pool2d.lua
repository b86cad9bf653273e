return function(crun, rng)
  local x = crun.randn(rng, 2, 3, 7, 8)
  return {
    { inputs = { x }, options = { output_size = 1 } },
    { inputs = { x }, options = { output_size = { 3, 5 } } },
    { inputs = { x }, options = { output_size = { 9, 2 } } },
  }
end
