return function(crun, rng)
  local samples = {}
  for i, o in ipairs { {}, { dim = 1 }, { p = 1 }, { p = 3.5, dim = 1 } } do
    samples[i] = { inputs = { crun.randn(rng, 5, 20) }, options = o }
  end
  return samples
end
