-- programs as lua/crun/closure.lua writes them: d^2 for equal labels, relu(1 - d)^2 for others
return function(crun, rng)
  local positive = crun.int {{1, 2, 3, 4, -1}, {16, 3, 0, 0, 0}, {2, 4, 0, 2, 0}}
  local negative = crun.int {{1, 3, 5, 4, -1}, {1, 3, 1, 0, 0}, {14, 4, 3, 0, 0}, {16, 5, 4, 0, 0}, {2, 3, 4, 2, 0},
                             {10, 4, 3, 0, 0}}
  local numbers, labels = crun.tensor {1, 2}, crun.int {1, 2, 1, 3, 2, 1}
  return {
    { inputs = { crun.randn(rng, 6, 4), labels, nil, nil, positive, negative, numbers } },
    { inputs = { crun.randn(rng, 2, 4), crun.int {1, 9}, crun.randn(rng, 6, 4), labels, positive, negative, numbers },
      options = { normalize = true, reduction = "sum" } },
  }
end
