-- shuffled numbers at least 0.1 apart: the step of a difference does not change their order
return function(crun, rng)
  local function x() return (crun.randperm(rng, 12):real() / 10):reshape(3, 4) end
  return {
    { inputs = { x() }, options = { dim = 1 } },
    { inputs = { x() }, options = { dim = 2, descending = true } },
  }
end
