-- a program as lua/crun/closure.lua writes it: softplus(ap - an), slopes sigmoid and minus sigmoid
return function(crun, rng)
  local code = crun.int {{2, 4, 3, 4, 5}, {1, 2, 0, 1, 0}, {18, 3, 2, 0, 0}, {17, 4, 2, 0, 0}, {10, 5, 4, 0, 0}}
  return { inputs = { crun.randn(rng, 6, 4), crun.int {1, 2, 1, 3, 2, 1}, nil, nil, code, crun.zeros(0) } }
end
