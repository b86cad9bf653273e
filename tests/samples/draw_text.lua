return function(crun)
  return { inputs = { crun.full({ 1, 20, 60 }, 255):byte() },
    options = { text = "Ag 1.5 ±", x = 3, y = 15, size = 16 } }
end
