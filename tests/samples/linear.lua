return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(6, 4), r(3, 4), r(3) } },
    { inputs = { r(2, 3, 4), r(5, 4) } },
    { inputs = { r(4), r(3, 4), r(3) } },
  }
end
