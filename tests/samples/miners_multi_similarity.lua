-- the forms a miner can be called in; they are the same for all
return function(crun, rng)
  local labels, wanted = crun.int {1, 2, 1, 3, 2, 1, 2, 3}, crun.int {1, 2, 9}
  local relation = (crun.randint(rng, 3, 8, 8) - 1):byte()
  return {
    { inputs = { crun.randn(rng, 8, 4), labels } },
    { inputs = { crun.randn(rng, 3, 4), wanted, crun.randn(rng, 8, 4), labels }, options = { distance = "snr" } },
    { inputs = { crun.randn(rng, 8, 4), nil, nil, nil, relation }, options = { distance = "manhattan" } },
    { inputs = { crun.randn(rng, 8, 4), labels, nil, nil, nil, crun.randn(rng, 8, 8) } },
  }
end
