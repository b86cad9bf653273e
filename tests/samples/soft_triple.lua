-- labels are class numbers, so weights must have a row (or several) for each
return function(crun, rng)
  local labels = crun.int {1, 3, 2, 3, 1, 3}
  local function sample(options, item_weights)
    return { inputs = { crun.randn(rng, 6, 4), labels, crun.randn(rng, 12, 4), item_weights },
             options = options }
  end
  return {
    sample { centers_per_class = 2 },
    sample { centers_per_class = 4, la = 10, gamma = 0.5, margin = 0.1 },
    sample({ centers_per_class = 2, reduction = "sum" }, crun.rand(rng, 6)),
    sample({ centers_per_class = 2, reduction = "none" }, crun.rand(rng, 6)),
  }
end
