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
    sample { pos_margin = 0.1, neg_margin = 2, reduction = "sum" },
    sample { distance = "cosine" },
    sample { normalize = true, squared = true, reduction = "nonzero" },
    against {},
  }
end
