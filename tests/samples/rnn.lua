return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(5, 3, 4), r(3, 2), r(2, 4), r(2, 2), r(2), r(2) } },
    { inputs = { r(4, 3, 4), nil, r(2, 4), r(2, 2) }, options = { reverse = true } },
    { inputs = { r(5, 3, 4), r(3, 2), r(2, 4), r(2, 2), r(2), r(2), crun.int { 5, 0, 3 } } },
  }
end
