return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  local function variance(n) return crun.rand(rng, n) + 0.5 end
  return {
    { inputs = { r(2, 6, 5, 3), r(4, 3, 3, 3), r(4), r(4), r(4), r(4), variance(4) },
      options = { padding = 1, activation = "relu", pool = 2 } },
    { inputs = { r(3, 7, 7, 1), r(5, 1, 3, 3), r(5), r(5), r(5), r(5), variance(5) },
      options = { padding = 1, pool = 2 } },
    { inputs = { r(2, 6, 6, 3), r(4, 3, 3, 3), nil, r(4), r(4), r(4), variance(4) },
      options = { padding = 1, stride = 2, activation = "relu" } },
    { inputs = { r(2, 5, 4, 3), r(4, 3, 3, 3), nil, r(4), r(4), r(4), variance(4), r(2, 5, 4, 4) },
      options = { padding = 1, activation = "relu" } },
    { inputs = { r(2, 5, 4, 3), r(4, 3, 3, 3), r(4), nil, nil, r(4), variance(4), r(2, 5, 4, 4) },
      options = { padding = 1, training = false } },
    { inputs = { r(2, 4, 4, 3), r(4, 3, 1, 1), r(4), r(4), r(4), r(4), variance(4) },
      options = { training = false, activation = "relu", pool = 2 } },
    { inputs = { r(2, 5, 6, 3), r(4, 3, 3, 2), r(4) } },
    { inputs = { r(2, 5, 6, 3), r(4, 3, 3, 3), r(4) }, options = { activation = "relu" } },
    { inputs = { r(2, 6, 6, 3), r(4, 3, 3, 3), r(4) }, options = { activation = "relu", pool = 2 } },
    { inputs = { r(2, 5, 6, 3), r(4, 3, 1, 1), r(4), nil, nil, nil, nil, r(2, 5, 6, 4) },
      options = { activation = "relu" } },
  }
end
