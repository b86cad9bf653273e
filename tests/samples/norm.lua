-- the orders with a formula of their own, over the last, the first and several dimensions
return function(crun, rng)
  local samples = {}
  for _, p in ipairs { 2, 1, 3, 1.5, 0.5, math.huge, -math.huge, 0 } do
    for _, dim in ipairs { -1, 1, { 1, 3 } } do
      samples[#samples + 1] = { inputs = { crun.randn(rng, 3, 2, 4) }, options = { p = p, dim = dim } }
    end
  end
  return samples
end
