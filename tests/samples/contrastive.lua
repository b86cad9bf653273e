return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1}
  local function sample(options) return { inputs = { crun.randn(rng, 6, 4), labels }, options = options } end
  local list = {
    sample { margin = 3 }, sample { variant = "seed", margin = 3 }, sample { variant = "chopra2005", Q = 3 },
    sample { variant = "pml", pos_margin = 0.5, neg_margin = 4 },
    sample { variant = "pml", neg_margin = 1.2, normalize = true }, sample { margin = 3, reduction = "sum" },
    sample { margin = 3, reduction = "sides" }, sample { margin = 1.2, distance = "cosine" },
    sample { margin = 4, distance = "dot" }, sample { margin = 5, distance = "manhattan" },
    sample { margin = 9, squared = true },
  }
  list[#list + 1] = { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 6, 4), labels },
                      options = { margin = 3 } }
  return list
end
