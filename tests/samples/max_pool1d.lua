return function(crun, rng)
  local x = (crun.randperm(rng, 2 * 3 * 9):real() / 10):reshape(2, 3, 9)
  return {
    { inputs = { x }, options = { kernel = 2 } },
    { inputs = { x }, options = { kernel = 3, stride = 2, padding = 1, ceil_mode = true } },
  }
end
