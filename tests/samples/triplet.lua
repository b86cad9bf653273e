-- every kind of triplet; enough rows that some are active, drawn far from ties
return function(crun, rng)
  local labels = crun.int {1, 2, 1, 3, 2, 1, 2, 3}
  local function sample(options) return { inputs = { crun.randn(rng, 8, 4), labels }, options = options } end
  local list = {
    sample { margin = 0.5 }, sample { margin = 0.5, reduction = "mean" }, sample { margin = 0.5, reduction = "sum" },
    sample { soft = true }, sample { margin = 1, squared = true }, sample { margin = 1, swap = true },
    sample { soft = true, swap = true }, sample { mine = "hard", margin = 2 }, sample { mine = "hard", soft = true },
    sample { mine = "semihard", margin = 1 }, sample { margin = 0.3, normalize = true },
    sample { margin = 0.3, distance = "cosine" }, sample { margin = 1, distance = "dot" },
    sample { margin = 1, distance = "manhattan" }, sample { margin = 1, distance = "manhattan", squared = true },
  }
  for _, options in ipairs { { margin = 0.5 }, { margin = 0.3, distance = "cosine" }, { mine = "hard", margin = 2 } } do
    list[#list + 1] = { inputs = { crun.randn(rng, 4, 4), crun.int {1, 2, 1, 7}, crun.randn(rng, 8, 4), labels },
                        options = options }
  end
  local large = crun.randint(rng, 3, 220)         -- more factors than one product takes; soft, for among so many a hinge is near
  list[#list + 1] = { inputs = { crun.randn(rng, 220, 3), large }, options = { soft = true } }
  return list
end
