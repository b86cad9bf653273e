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
    sample { lambda_plus = 2, lambda_minus = 0.5, margin_plus = 0.8, margin_minus = 0, reduction = "mean" },
    sample { distance = "dot", reduction = "sum" },
    against { margin_minus = 0.1 },
  }
end
