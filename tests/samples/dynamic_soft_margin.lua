return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1, 1}
  local function sample(options, histogram)
    return { inputs = { crun.randn(rng, 7, 4), labels, nil, nil, histogram }, options = options }
  end
  return {
    sample({}, crun.zeros(10)), sample({ momentum = 0.3, min_val = -1.5 }, crun.tensor {0.1, 0.2, 0.3, 0.4}),
    sample({ normalize = false }, crun.full({6}, 1 / 6)),
    { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 7, 4), labels, crun.zeros(8) } },
  }
end
