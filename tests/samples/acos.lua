-- inside (-1, 1)
return function(crun, rng)
  return { inputs = { crun.rand(rng, 3, 4) * 1.6 - 0.8 } }
end
