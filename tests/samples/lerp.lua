-- the weight a number, a tensor of its own shape, all three broadcast
return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(3, 4), r(3, 4), 0.3 } },
    { inputs = { r(3, 4), r(4), r(3, 1) } },
    { inputs = { r(1, 4), r(3, 1), r(2, 1, 1) } },
  }
end
