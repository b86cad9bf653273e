-- positive
return function(crun, rng)
  return { inputs = { crun.rand(rng, 3, 4) + 0.3 } }
end
