-- mask of one shape and broadcast, with and without the extra one, along packed and other dimensions
return function(crun, rng)
  local function sample(options, ...)
    return { inputs = { crun.randn(rng, 3, 2, 4), crun.randn(rng, ...):gt(0) }, options = options }
  end
  return {
    sample({ dim = -1, empty = 0 }, 3, 2, 4),
    sample({ dim = 1, add_one = true }, 2, 4),
    sample({ dim = { 1, 3 }, empty = 0 }, 3, 1, 1),
    sample({ add_one = true }, 4),
  }
end
