return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1}
  local function sample(options, beta)
    return { inputs = { crun.randn(rng, 6, 4), labels, nil, nil, beta }, options = options }
  end
  return {
    sample({ margin = 0.5, beta = 2 }), sample({ margin = 0.5, nu = 0.3 }, crun.tensor {2.5}),
    sample({ margin = 1, nu = 0.3 }, crun.tensor {2.5, 2, 3}), sample({ margin = 1, reduction = "mean" }, crun.scalar(2)),
    sample({ margin = 0.3, beta = 1, distance = "cosine" }), sample({ beta = 4, squared = true, reduction = "nonzero" }),
    sample({ beta = 4, distance = "manhattan", reduction = "sum" }),
    { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 3}, crun.randn(rng, 6, 4), labels, crun.tensor {2.5, 2, 3} },
      options = { margin = 0.5, nu = 0.1 } },
  }
end
