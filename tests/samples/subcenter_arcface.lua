-- labels are class numbers, so weights must have a row (or several) for each
return function(crun, rng)
  local labels = crun.int {1, 3, 2, 3, 1, 3}
  local function sample(options, item_weights)
    return { inputs = { crun.randn(rng, 6, 4), labels, crun.randn(rng, 8, 4), item_weights },
             options = options }
  end
  return {
    sample { sub_centers = 2 },
    sample { sub_centers = 1, scale = 8 },
    sample({ sub_centers = 2, reduction = "sum" }, crun.rand(rng, 6)),
    sample({ sub_centers = 2, reduction = "none" }, crun.rand(rng, 6)),
  }
end
