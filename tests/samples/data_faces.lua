return function()
  return { inputs = {}, options = { identities = 2, per_identity = 3, size = 16 } }
end
