return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(3, 4), r(3, 2), r(3, 2), r(8, 4), r(8, 2), r(8), r(8) } },
    { inputs = { r(3, 4), nil, nil, r(8, 4), r(8, 2) } },
  }
end
