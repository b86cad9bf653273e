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
    sample { normalize = true },
    sample { alpha = 20, reduction = "sum" },
    sample { alpha = 50, normalize = true, reduction = "nonzero" },
    against { alpha = 30 },
    against { normalize = true, alpha = 35 },
  }
end
