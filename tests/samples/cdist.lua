return function(crun, rng)
  local x, y = crun.randn(rng, 5, 3), crun.randn(rng, 4, 3)
  local list = { { inputs = { x } } }
  for _, p in ipairs { 1, 2, 3, math.huge } do list[#list + 1] = { inputs = { x, y }, options = { p = p } } end
  return list
end
