-- labels are class numbers
return function(crun, rng)
  local labels = crun.int {1, 3, 2, 3, 1, 3}
  local list = {}
  for _, reduction in ipairs { "mean", "sum", "none" } do
    list[#list + 1] = {
      inputs = { crun.randn(rng, 6, 4), labels, crun.randn(rng, 4, 4), crun.rand(rng, 6) },
      options = { reduction = reduction },
    }
  end
  return list
end
