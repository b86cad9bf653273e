-- a shuffled 0.1 .. n/10: no two elements so close that the step of a difference changes which is the largest
return function(crun, rng)
  local function r(...)
    local n = 1
    for _, size in ipairs { ... } do n = n * size end
    return (crun.randperm(rng, n):real() / 10):reshape(...)
  end
  return {
    { inputs = { r(2, 3, 6, 4) }, options = { kernel = 2 } },
    { inputs = { r(2, 3, 7, 5) }, options = { kernel = 2 } },
    { inputs = { r(2, 2, 7, 8) }, options = { kernel = 3, stride = 2, padding = 1 } },
    { inputs = { r(2, 2, 7, 8) }, options = { kernel = { 2, 3 }, stride = { 1, 3 }, dilation = { 2, 1 }, ceil_mode = true } },
  }
end
