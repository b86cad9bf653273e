return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  local function variance(n) return crun.rand(rng, n) + 0.5 end
  return {
    { inputs = { r(3, 4, 2, 5), r(4), r(4), r(4), variance(4) } },
    { inputs = { r(6, 70), r(70), r(70), r(70), variance(70) } },
    { inputs = { r(3, 4, 5), nil, nil, r(4), variance(4) }, options = { training = false } },
    { inputs = { r(5, 3), r(3), r(3), r(3), variance(3) }, options = { training = false } },
  }
end
