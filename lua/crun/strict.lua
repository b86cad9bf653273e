--- The environment of a script: the globals, with two mistakes made loud.
-- Reading a name that was never set is an error; so is setting a new one inside a function (in the main chunk it
-- declares the name). Modules loaded by require see the plain globals.
local declared = {}

local function nearest(name)
  for candidate in pairs(_G) do
    if type(candidate) == "string" and candidate:lower() == tostring(name):lower() then
      return ("; did you mean '%s'?"):format(candidate)
    end
  end
  return ""
end

return setmetatable({}, {
  __index = function(_, name)
    local value = _G[name]
    if value == nil and not declared[name] then
      error(("undefined variable '%s'%s"):format(tostring(name), nearest(name)), 2)
    end
    return value
  end,
  __newindex = function(_, name, value)
    if not declared[name] and rawget(_G, name) == nil then
      local what = debug.getinfo(2, "S").what
      if what ~= "main" and what ~= "C" then
        error(("'%s' is set inside a function but was never declared; write local %s"):format(name, name), 2)
      end
      declared[name] = true
    end
    rawset(_G, name, value)
  end,
  __pairs = function() return next, _G, nil end,
})
