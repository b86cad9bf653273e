-- a divisor away from 0; one shape, broadcast both ways, a transposed operand, a number
return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  local function d(...) return crun.rand(rng, ...) + 0.5 end
  return {
    { inputs = { r(3, 4), d(3, 4) } },
    { inputs = { r(3, 1, 4), d(2, 1) } },
    { inputs = { r(4, 3):t(), d(4) } },
    { inputs = { 2, d(3, 4) } },
  }
end
