return function(crun, rng)
  local samples = {}
  for i, o in ipairs { { size = { 7, 3 } }, { size = { 3, 9 }, align_corners = true }, { scale = 1.7, mode = "nearest" },
                       { scale = 0.5 } } do
    samples[i] = { inputs = { crun.randn(rng, 2, 3, 5, 4) }, options = o }
  end
  return samples
end
