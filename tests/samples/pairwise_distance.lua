return function(crun, rng)
  local samples = {}
  for i, p in ipairs { 2, 1, 3 } do
    samples[i] = { inputs = { crun.randn(rng, 5, 4), crun.randn(rng, 5, 4) }, options = { p = p, keepdim = p == 3 } }
  end
  return samples
end
