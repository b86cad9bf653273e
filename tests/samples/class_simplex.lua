-- labels are class numbers, and the width is at least their number less one
return function(crun, rng)
  local labels, list = crun.int {1, 3, 2, 3, 1, 3}, {}
  for _, reduction in ipairs { "mean", "sum", "none" } do
    list[#list + 1] = { inputs = { crun.randn(rng, 6, 4), labels },
                        options = { classes = 3, reduction = reduction } }
  end
  return list
end
