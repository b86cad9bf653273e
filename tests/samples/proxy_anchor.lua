-- labels are class numbers; one class is not in the batch
return function(crun, rng)
  local labels = crun.int {1, 3, 2, 3, 1, 3}
  local function sample(options, item_weights)
    return { inputs = { crun.randn(rng, 6, 4), labels, crun.randn(rng, 4, 4), item_weights },
             options = options }
  end
  return {
    sample {},
    sample { alpha = 4, margin = 0.3, distance = "euclidean" },
    sample { alpha = 2, distance = "dot", normalize = false },
    sample({ reduction = "sum" }, crun.rand(rng, 6)),
    sample({ reduction = "none" }, crun.rand(rng, 6)),
  }
end
