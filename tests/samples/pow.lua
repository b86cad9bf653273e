-- a positive base, or a whole exponent
return function(crun, rng)
  local x = crun.rand(rng, 3, 4) + 0.3
  return {
    { inputs = { x, crun.randn(rng, 3, 4) } },
    { inputs = { x, crun.randn(rng, 3, 1) } },
    { inputs = { crun.randn(rng, 3, 4), 3 } },
    { inputs = { x, 0.5 } },
    { inputs = { x, -1 } },
  }
end
