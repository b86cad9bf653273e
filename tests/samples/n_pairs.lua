return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1, 4}
  local function sample(options)
    return { inputs = { crun.randn(rng, 7, 4), labels }, options = options }
  end
  local function against(options)
    return { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 7, 4), labels },
             options = options }
  end
  return {
    sample {},
    sample { variant = "one_vs_one" },
    sample { l2_reg = 0.02, distance = "euclidean", reduction = "sum" },
    sample { distance = "cosine", l2_reg = 0.1 },
    against { l2_reg = 0.3 },
  }
end
