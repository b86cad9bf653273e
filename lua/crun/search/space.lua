--- space.lua - what a search may choose from: names, and for each what values it takes
--
--     { lr = { log_uniform = { 1e-4, 1e-2 } }, margin = { uniform = { 0.1, 0.6 } }, layers = { int = { 1, 4 } },
--       mine = { choice = { "all", "hard" } }, epochs = 20 }
--
-- A plain value is fixed. Every value has a place in [0, 1]: uniform and int along the line,
-- log_uniform along its logarithm, a choice by its number. Searches work on places and never see
-- units.
local crun = require "crun"
local options = require "crun.options"

local M = {}

local RANGES <const> = { choice = true, uniform = true, log_uniform = true, int = true }
M.kinds = { "choice", "uniform", "log_uniform", "int" }

--- What is wrong with one entry, as a text, or nil and the entry as { name, kind, low, high, list
-- }.
function M.entry(name, value)
  if type(value) ~= "table" then return nil, { name = name, kind = "fixed", value = value } end
  local kind, range = next(value)
  if kind == nil or next(value, kind) ~= nil or not RANGES[kind] then
    local near = type(kind) == "string" and options.nearest(kind, M.kinds)
    return ("takes a value, or one of %s: got %s%s"):format(table.concat(M.kinds, ", "),
      type(kind) == "string" and "'" .. kind .. "'" or kind == nil and "nothing" or "a list",
      near and (", did you mean '%s'?"):format(near) or "")
  end
  if type(range) ~= "table" then return ("%s takes a list, got %s"):format(kind,
     options.say(range)) end
  if kind == "choice" then
    if #range == 0 then return "choice is empty: nothing to choose from" end
    for _, v in ipairs(range) do
      if type(v) ~= "number" and type(v) ~= "string" and type(v) ~= "boolean" then
        return "the values of a choice are numbers, texts, true or false"
      end
    end
    return nil, { name = name, kind = kind, list = range }
  end
  local low, high = range[1], range[2]
  if #range ~= 2 or type(low) ~= "number" or type(high) ~= "number" then
    return ("%s takes [least, most], two numbers"):format(kind)
  end
  if not (low < high) then return ("%s takes [least, most]; %g is not below %g"):format(kind, low,
     high) end
  if kind == "log_uniform" and low <= 0 then
    return ("log_uniform takes numbers above 0, got %g"):format(low)
  end
  if kind == "int" and not (math.tointeger(low) and math.tointeger(high)) then
    return "int takes two whole numbers"
  end
  return nil, { name = name, kind = kind, low = low, high = high }
end

--- A checked space: its entries sorted by name; raises at the caller's line.
function M.check(where, space)
  options.check_value(where, "space", space, "table")
  local entries = {}
  for _, name in ipairs(options.sorted_keys(space)) do
    local wrong, entry = M.entry(name, space[name])
    if wrong then crun.fail(where, ("%s %s"):format(name, wrong)) end
    entries[#entries + 1] = entry
  end
  return entries
end

-- four digits are enough for a setting, and read well
local function rounded(x) return tonumber(("%.4g"):format(x)) + 0.0 end

--- The value at place u in [0, 1].
function M.value(entry, u)
  local kind = entry.kind
  if kind == "fixed" then return entry.value end
  if kind == "choice" then return entry.list[math.min(#entry.list,
     1 + math.floor(u * #entry.list))] end
  if kind == "int" then
    local n = entry.high - entry.low + 1
    return math.tointeger(entry.low + math.min(n - 1, math.floor(u * n)))
  end
  local x = kind == "uniform" and entry.low + u * (entry.high - entry.low) or
    math.exp(math.log(entry.low) + u * (math.log(entry.high) - math.log(entry.low)))
  return math.min(math.max(rounded(x), entry.low), entry.high)
end

--- The place of a value, the middle of its cell for a choice or a whole number; nil: it is not in
-- the space.
function M.place(entry, value)
  local kind = entry.kind
  if kind == "choice" then
    for i, v in ipairs(entry.list) do
      if v == value then return (i - 0.5) / #entry.list end
    end
    return nil
  end
  if type(value) ~= "number" or value < entry.low or value > entry.high then return nil end
  if kind == "int" then return (value - entry.low + 0.5) / (entry.high - entry.low + 1) end
  if kind == "uniform" then return (value - entry.low) / (entry.high - entry.low) end
  return math.log(value / entry.low) / math.log(entry.high / entry.low)
end

--- The settings at places { name -> u }.
function M.settings(entries, places)
  local settings = {}
  for _, entry in ipairs(entries) do settings[entry.name] = M.value(entry, places[entry.name]) end
  return settings
end

--- Which options of `settings` lie on the edge of a range that goes on beyond it: within 5 % of the
-- end of a line, or the first or last of three or more ordered numbers.
function M.edges(entries, settings)
  local names = {}
  for _, entry in ipairs(entries) do
    local value, at_edge = settings[entry.name], false
    if entry.kind == "choice" then
      local list = entry.list
      at_edge = #list >= 3 and (value == list[1] or value == list[#list])
      for i = 2, #list do
        at_edge = at_edge and type(list[i]) == "number" and type(list[i - 1]) == "number" and
          (list[2] > list[1]) == (list[i] > list[i - 1])
      end
    elseif entry.kind == "int" then
      at_edge = value == entry.low or value == entry.high
    elseif entry.kind ~= "fixed" and value ~= nil then
      local u = M.place(entry, value)
      at_edge = u ~= nil and (u <= 0.05 or u >= 0.95)
    end
    if at_edge then names[#names + 1] = entry.name end
  end
  return names
end

return M
