--- A score in words: four places, or what a large or small one needs. about: the number that says
-- how large the numbers of a column are, so that they get places alike.
return function(x, about)
  local size = math.abs(about or x)
  return (size >= 100 and "%.2f" or size < 0.001 and size > 0 and "%.2e" or "%.4f"):format(x)
end
