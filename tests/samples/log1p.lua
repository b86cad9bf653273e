-- above -1
return function(crun, rng)
  return { inputs = { crun.rand(rng, 3, 4) - 0.5 } }
end
