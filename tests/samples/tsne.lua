-- a start of the same points; few iterations, since every precision and thread count runs it
return function(crun, rng)
  local x = crun.randn(rng, 12, 4)
  return { inputs = { x, x:narrow(2, 1, 2):contiguous() },
    options = { perplexity = 3, iterations = 20 } }
end
