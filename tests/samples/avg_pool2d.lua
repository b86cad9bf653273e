return function(crun, rng)
  local x = crun.randn(rng, 2, 3, 7, 8)
  return {
    { inputs = { x }, options = { kernel = 2 } },
    { inputs = { x }, options = { kernel = 3, stride = 2, padding = 1 } },
    { inputs = { x }, options = { kernel = { 2, 3 }, stride = { 2, 3 }, padding = { 0, 1 }, ceil_mode = true, count_include_pad = false } },
  }
end
