return function(crun, rng)
  local samples = {}
  for i, mode in ipairs { "constant", "reflect", "replicate", "circular" } do
    samples[i] = { inputs = { crun.randn(rng, 2, 4, 5) }, options = { amounts = { 1, 2, 3, -1 }, mode = mode } }
  end
  return samples
end
