return function(crun, rng)
  local labels, list = crun.int {1, 2, 1, 3, 2, 1, 1}, {}
  for k, variant in ipairs { "O", "Ds", "Dq", "Iu", "Ib" } do
    list[k] = { inputs = { crun.randn(rng, 7, 4), labels }, options = { variant = variant, anneal = 0.2, alpha = 1.5 } }
  end
  list[6] = { inputs = { crun.randn(rng, 3, 4), crun.int {1, 2, 9}, crun.randn(rng, 7, 4), labels }, options = { anneal = 0.2 } }
  return list
end
