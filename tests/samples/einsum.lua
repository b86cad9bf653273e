return function(crun, rng)
  local function r(...) return crun.randn(rng, ...) end
  return {
    { inputs = { { r(3, 4), r(4, 5) } }, options = { equation = "ij,jk->ik" } },
    { inputs = { { r(2, 3), r(4, 3, 5), r(2, 5) } }, options = { equation = "bi,oij,bj->bo" } },
    { inputs = { { r(3, 3, 2) } }, options = { equation = "iij->j" } },
    { inputs = { { r(2, 3), r(4) } }, options = { equation = "ij,k->k" } },
    { inputs = { { r(2, 6, 3, 4), r(2, 5, 3, 4) } }, options = { equation = "bqhd,bkhd" } },
  }
end
