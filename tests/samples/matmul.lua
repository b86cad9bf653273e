-- vectors, matrices, stacks, broadcast stacks, views that are transposed or strided both ways
return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { r(3, 4), r(4, 5) } },
    { inputs = { r(4), r(4) } },
    { inputs = { r(4), r(2, 4, 3) } },
    { inputs = { r(2, 3, 4), r(4) } },
    { inputs = { r(2, 3, 4), r(4, 5) } },
    { inputs = { r(3, 4), r(2, 4, 5) } },
    { inputs = { r(2, 1, 3, 4), r(3, 4, 2) } },
    { inputs = { r(1, 3, 3, 4), r(2, 1, 4, 2) } },
    { inputs = { r(4, 3), r(5, 4) }, options = { transpose_x = true, transpose_y = true } },
    { inputs = { r(2, 4, 3), r(2, 4, 5) }, options = { transpose_x = true } },
    { inputs = { r(2, 3, 4), r(5, 4) }, options = { transpose_y = true } },
    { inputs = { r(4, 3), r(2, 5, 4) }, options = { transpose_x = true, transpose_y = true } },
  }
end
