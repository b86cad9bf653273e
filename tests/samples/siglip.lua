return function(crun, rng)
  local function sample(options, rows, log_scale, bias)
    return { inputs = { crun.randn(rng, 4, 3), crun.randn(rng, rows or 4, 3), log_scale, bias },
             options = options }
  end
  return {
    sample {}, sample({ scale = 2, bias = -1, distance = "dot", reduction = "sum" }, 6),
    sample({}, 4, crun.scalar(0.7), crun.scalar(-0.5)),
    sample({ bias = 1, distance = "euclidean" }, 5, crun.scalar(0.2)),
  }
end
