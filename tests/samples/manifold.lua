return function(crun, rng)
  local function sample(options)
    return { inputs = { crun.randn(rng, 6, 4), crun.int {1, 2, 3, 3, 2, 1}, crun.randn(rng, 3, 4) }, options = options }
  end
  return { sample { margin = 0.3 }, sample { margin = 0.3, lambda_c = 0 }, sample { margin = 0.3, lambda_c = math.huge },
           sample { margin = 0.5, alpha = 0.5 } }
end
