return function(crun, rng)
  local function r() return crun.randn(rng, 5) end
  return { inputs = { r(), r(), r(), r():abs(), crun.ones(1) } }
end
