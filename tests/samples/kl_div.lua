return function(crun, rng)
  local x, t = crun.randn(rng, 3, 4), crun.rand(rng, 3, 4) + 0.1
  return { { inputs = { x, t } }, { inputs = { x, t:log() }, options = { log_target = true, reduction = "mean" } } }
end
