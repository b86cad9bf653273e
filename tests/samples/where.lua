-- the condition broadcast, the choices broadcast
return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(3, 4):gt(0), r(3, 4), r(3, 4) } },
    { inputs = { r(4):gt(0), r(3, 4), r(3, 1) } },
    { inputs = { r(3, 1):gt(0), r(1, 4), 2 } },
  }
end
