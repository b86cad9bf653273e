return function(crun)
  return { inputs = { crun.int {1, 1, 2, 2, 3, 3}, crun.int {5, 5, 5, 7, 7, 7} } }
end
