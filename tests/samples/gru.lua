return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(5, 3, 4), r(3, 2), r(6, 4), r(6, 2), r(6), r(6) } },
    { inputs = { r(4, 3, 4), nil, r(6, 4), r(6, 2) }, options = { reverse = true } },
    { inputs = { r(5, 3, 4), r(3, 2), r(6, 4), r(6, 2), r(6), r(6), crun.int { 5, 0, 3 } } },
    { inputs = { r(5, 3, 4), r(3, 2), r(6, 4), r(6, 2), r(6), r(6), crun.int { 2, 5, 1 } },
      options = { reverse = true } },
  }
end
