-- labels and negatives are class numbers
return function(crun, rng)
  local function sample(options, bias)
    return {
      inputs = { crun.randn(rng, 6, 4), crun.int {1, 5, 2, 5, 1, 3}, crun.randn(rng, 5, 4),
        crun.randint(rng, 5, 6, 3), crun.randn(rng, 5):log_softmax(1), bias },
      options = options,
    }
  end
  return { sample {}, sample({ reduction = "sum" }, crun.randn(rng, 5)), sample { reduction = "none" } }
end
