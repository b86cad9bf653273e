return function(crun, rng)
  local function sample(options, rows, log_scale)
    return { inputs = { crun.randn(rng, 4, 3), crun.randn(rng, rows or 4, 3), log_scale },
             options = options }
  end
  return {
    sample {}, sample({ scale = 3, distance = "dot", reduction = "sum" }, 6),
    sample { symmetric = true, scale = 5 }, sample({ symmetric = true }, 4, crun.scalar(1.5)),
    sample({ distance = "euclidean" }, 5, crun.scalar(0.5)),
    sample { symmetric = true, scale = 2, distance = "euclidean", squared = true },
  }
end
