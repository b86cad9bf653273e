return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(3, 4), r(3, 2), r(6, 4), r(6, 2), r(6), r(6) } },
    { inputs = { r(3, 4), nil, r(6, 4), r(6, 2) } },
  }
end
