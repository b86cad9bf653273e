-- far from singular
return function(crun, rng)
  return {
    { inputs = { crun.randn(rng, 4, 4) + crun.eye(4) * 4 } },
    { inputs = { crun.randn(rng, 2, 3, 3) + crun.eye(3) * 4 } },
  }
end
