-- one shape, broadcast both ways, a transposed operand, a number
return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(3, 4), r(3, 4) } },
    { inputs = { r(3, 1, 4), r(2, 1) } },
    { inputs = { r(4, 3):t(), r(4) } },
    { inputs = { r(3, 4), 2 } },
  }
end
