return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  local function variance(n) return crun.rand(rng, n) + 0.5 end
  return {
    { inputs = { r(2, 5, 4, 3), nil, r(3, 3, 3, 3), r(3, 3, 3, 3), r(3), r(3), r(3), r(3), r(3),
        r(3), variance(3), variance(3) }, options = { padding = 1 } },
    { inputs = { r(2, 6, 6, 3), r(2, 3, 3, 4), r(4, 3, 3, 3), r(4, 4, 3, 3), r(4), r(4), r(4), r(4),
        r(4), r(4), variance(4), variance(4) }, options = { padding = 1, stride = 2 } },
    { inputs = { r(2, 4, 4, 2), r(2, 4, 4, 3), r(3, 2, 1, 1), r(3, 3, 1, 3), nil, nil, nil, nil,
        r(3), r(3), variance(3), variance(3) } },
  }
end
