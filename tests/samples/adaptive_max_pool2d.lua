return function(crun, rng)
  local x = (crun.randperm(rng, 2 * 3 * 7 * 8):real() / 10):reshape(2, 3, 7, 8)
  return {
    { inputs = { x }, options = { output_size = 1 } },
    { inputs = { x }, options = { output_size = { 3, 5 } } },
  }
end
