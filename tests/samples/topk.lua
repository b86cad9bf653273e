-- shuffled numbers at least 0.1 apart: the step of a difference does not change their order
return function(crun, rng)
  local function x() return (crun.randperm(rng, 40):real() / 10):reshape(2, 20) end
  return {
    { inputs = { x() }, options = { k = 2 } },
    { inputs = { x() }, options = { k = 9, largest = false } },
    { inputs = { x() }, options = { k = 1, dim = 1 } },
  }
end
