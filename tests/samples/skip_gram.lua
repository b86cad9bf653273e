-- center, context and negatives are row numbers of the two tables; some come more than once
return function(crun, rng)
  local function sample(options)
    return {
      inputs = { crun.randn(rng, 7, 4), crun.randn(rng, 9, 4), crun.int {1, 7, 1, 3, 1, 2},
        crun.randint(rng, 9, 6), crun.randint(rng, 9, 6, 3) },
      options = options,
    }
  end
  return { sample {}, sample { reduction = "sum" }, sample { reduction = "none" } }
end
