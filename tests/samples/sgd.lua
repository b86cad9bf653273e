return function(crun, rng)
  local function r() return crun.randn(rng, 5) end
  return { { inputs = { r(), r() } }, { inputs = { r(), r(), r() }, options = { momentum = 0.9, step = 2 } } }
end
