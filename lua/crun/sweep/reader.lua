--- reader.lua - values of a YAML file, each checked where it is taken, each error at its line and
-- column
--
--     local r = reader.new(places, "plan.yaml")
--     local jobs = r:get(launcher, "jobs", "count", false)         -- plan.yaml:12:12: jobs must be ...
--
-- places is what crun.yaml.decode gave beside the value.
local crun = require "crun"
local config = require "crun.config"
local options = require "crun.options"
local space = require "crun.search.space"
local cio = crun.io

local M = {}

local EXIT_PLAN <const> = 3

--- Raises with exit code 3.
function M.raise(text) crun.fail("sweep", text, EXIT_PLAN) end

local Reader = {}
Reader.__index = Reader

-- Raises about `key` of `map`, or about the map itself.
function Reader:fail(map, key, text, ...)
  local known = self.places[map]
  local at = known and (key ~= nil and known.at[key] or known) or { 1, 1 }
  M.raise(("%s:%d:%d: %s"):format(self.source, at[1], at[2], text:format(...)))
end

local function is_map(value)
  return type(value) == "table" and options.kind(value) == "table"
end

local function is_list(value) return type(value) == "table" and not is_map(value) end

local function say(value)
  if value == cio.json_null then return "nothing" end
  if type(value) == "table" then return is_map(value) and "a map" or "a list" end
  return options.say(value)
end

function Reader:keys(map, allowed, what)
  local names = {}
  for name in pairs(allowed) do names[#names + 1] = name end
  table.sort(names)
  for _, key in ipairs(self.places[map].keys) do
    if not allowed[key] then
      local near = options.nearest(key, names)
      self:fail(map, key, "%s has no '%s'; %s", what, key, near and
        ("did you mean '%s'?"):format(near) or
        "it has " .. table.concat(names, ", "))
    end
  end
end

local TESTS <const> = {
  string = { function(v) return type(v) == "string" and v ~= "" end, "a text" },
  count = { function(v) return math.type(v) == "integer" and v >= 1 end, "a whole number from 1" },
  integer = { function(v) return math.type(v) == "integer" and v >= 0 end,
    "a whole number from 0" },
  map = { is_map, "a map" }, list = { is_list, "a list" },
}

-- The value of a key, of the kind wanted; default where it is missing, an error where there is
-- none.
function Reader:get(map, key, kind, default)
  local value = map[key]
  if value == nil then
    if default == nil then self:fail(map, nil, "'%s' is missing; it must be %s", key,
       TESTS[kind][2]) end
    return default or nil
  end
  if not TESTS[kind][1](value) then
    self:fail(map, key, "%s must be %s, got %s", key, TESTS[kind][2], say(value))
  end
  return value
end

function Reader:choice(map, key, default, choices)
  local value = self:get(map, key, "string", default)
  for _, choice in ipairs(choices) do
    if value == choice then return value end
  end
  local near = options.nearest(value, choices)
  self:fail(map, key, "%s must be one of %s; got '%s'%s", key, table.concat(choices, ", "), value,
    near and (", did you mean '%s'?"):format(near) or "")
end

-- Settings below a map as entries of a space: nested names get points, a list becomes the text of a
-- list setting. searched: whether ranges are allowed.
function Reader:settings(map, searched, prefix, into)
  into = into or { list = {}, by = {} }
  for _, key in ipairs(self.places[map].keys) do
    local name, value = (prefix or "") .. key, map[key]
    local function add(entry)
      if into.by[name] then self:fail(map, key, "%s is given twice", name) end
      entry.map, entry.key = map, key
      into.list[#into.list + 1], into.by[name] = entry, entry
    end
    if name == "seed" or name == "fold" or name == "folds" then
      self:fail(map, key, "%s is set by the sweep: see tune, final and folds", name)
    elseif value == cio.json_null then
      self:fail(map, key, "%s has no value", name)
    elseif is_list(value) then
      for _, v in ipairs(value) do
        if type(v) == "table" or v == cio.json_null then self:fail(map, key,
           "%s: a list of plain values, please", name) end
      end
      add { name = name, kind = "fixed", value = config.value_text(value) }
    elseif is_map(value) then
      local keys = self.places[value].keys
      local first = keys[1] and value[keys[1]]
      local near = #keys == 1 and (first == nil or is_list(first)) and options.nearest(keys[1],
        space.kinds)
      if near then
        local plain = { [keys[1]] = is_list(first) and table.move(first, 1, #first, 1, {}) or
          first }
        local wrong, entry = space.entry(name, plain)
        if wrong then self:fail(value, keys[1], "%s: %s", name, wrong) end
        if not searched then
          self:fail(map, key, "%s is fixed, so there is nothing to search; put it under shared or into the variants", name)
        end
        add(entry)
      elseif #keys == 0 then
        self:fail(map, key, "%s is empty", name)
      else
        self:settings(value, searched, name .. ".", into)
      end
    else
      add { name = name, kind = "fixed", value = value }
    end
  end
  return into
end

--- places, source: the name of the file.
function M.new(places, source) return setmetatable({ places = places, source = source }, Reader) end

M.is_map, M.say = is_map, say

return M
