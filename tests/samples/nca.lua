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
    sample { softmax_scale = 3, normalize = true },
    sample { distance = "cosine", softmax_scale = 5 },
    sample { distance = "manhattan", squared = false },
    against { squared = false, reduction = "sum" },
  }
end
