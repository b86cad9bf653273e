-- the gradient with weights held constant is not that of the value: detach = false
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
    sample { detach = false, gamma = 4 },
    sample { detach = false, gamma = 2, m = 0.25, distance = "dot" },
    against { detach = false, gamma = 8, reduction = "mean" },
  }
end
