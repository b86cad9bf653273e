--- The one checker of named options.
--
-- A constructor of the library takes one table of options and says once what may stand in it:
--
--     local o <const> = options.check("sampler.pk", opts, {
--       labels = "tensor",                                   -- a kind alone: must be given
--       k      = { "count", 4, least = 2 },                  -- kind, default, range
--       short  = { "string", "error", choices = { "error", "repeat", "drop" } },
--       rng    = "rng?",                                     -- "?": may be left out, then nil
--     })
--
-- An unknown key, a wrong type and a value out of range are three messages, raised at the line of
-- the script that called the library:
--
--     train.lua:12: sampler.pk: unknown option 'sede'; did you mean 'seed'?
--     train.lua:12: sampler.pk: k must be a whole number, got a string "4"
--     train.lua:12: sampler.pk: k must be at least 2, got 1
--
-- @module crun.options
local crun = require "crun"

local M = {}

--- What a value is, in one word: "tensor", "rng", "criterion", "module", "nil", "number", "string",
-- ...
function M.kind(value)
  local kind = type(value)
  if kind ~= "userdata" and kind ~= "table" then return kind end
  local meta = getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  if type(name) ~= "string" then return kind end
  return name:match "^crun%.(%w+)" or kind == "userdata" and name or kind
end

local function callable(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end

local function whole(value) return math.type(value) == "integer" or
    (math.type(value) == "float" and value == math.floor(value) and value - value == 0) end

local function numbers(value)
  if type(value) ~= "table" then return false end
  for i = 1, #value do
    if type(value[i]) ~= "number" then return false end
  end
  return true
end

-- kind -> { test, the words for it }
local kinds = {
  any      = { function() return true end, "a value" },
  number   = { function(v) return type(v) == "number" and v == v end, "a number" },
  integer  = { whole, "a whole number" },
  count    = { whole, "a whole number", least = 1 },
  boolean  = { function(v) return type(v) == "boolean" end, "true or false" },
  string   = { function(v) return type(v) == "string" end, "a string" },
  table    = { function(v) return type(v) == "table" end, "a table" },
  numbers  = { numbers, "a list of numbers" },
  callable = { callable, "a function" },
  tensor   = { function(v) return M.kind(v) == "tensor" end, "a tensor" },
  rng      = { function(v) return M.kind(v) == "rng" end, "a crun.rng" },
  module   = { function(v) return M.kind(v) == "module" end, "an nn module" },
}

--- A value in words, for messages: `a string "4"`, `a tensor`, `nothing`.
function M.say(value)
  local kind = M.kind(value)
  if kind == "nil" then return "nothing" end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  if kind == "string" then
    return ("a string %q"):format(#value > 40 and value:sub(1, 37) .. "..." or value)
  end
  return (kind:find "^[aeiou]" and "an " or "a ") .. kind
end

-- Levenshtein distance with swapped neighbours counted once (Damerau), enough for slips of the
-- finger.
local function distance(a, b)
  local before, last = nil, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

--- The name nearest to `word`, or nil when none is near. names: a list.
function M.nearest(word, names)
  local best, least = nil, math.max(1, #word // 3) + 1
  for _, name in ipairs(names) do
    local d = distance(word:lower(), name:lower())
    if #word >= 3 and name:sub(1, #word) == word then d = math.min(d, 1) end
    if d < least then best, least = name, d end
  end
  return best
end

--- The keys of a table as a sorted list.
function M.sorted_keys(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

local function unknown(where, key, names)
  if type(key) ~= "string" then
    crun.fail(where, ("options are named, as in { %s = ... }, got one without a name (%s)")
      :format(names[1] or "name", M.say(key)))
  end
  local near = M.nearest(key, names)
  crun.fail(where, ("unknown option '%s'; %s"):format(key,
    near and ("did you mean '%s'?"):format(near)
    or #names == 0 and "it takes none" or "it takes " .. table.concat(names, ", ")))
end

-- A line of a spec, in full: { kind =, default =, optional =, least =, most =, choices = }
local function rule_of(line)
  if type(line) == "string" then line = { line } end
  local name, question = line[1]:match "^(%w+)(%??)$"
  local kind = assert(kinds[name], "no such kind of option")
  return {
    kind = name, test = kind[1], words = line.words or kind[2], default = line[2],
    optional = question == "?" or line[2] ~= nil,
    least = line.least or kind.least, most = line.most, above = line.above, choices = line.choices,
  }
end

--- Checks one value against one line of a spec; raises or returns it (whole floats become
-- integers).
function M.check_value(where, name, value, line)
  local rule = rule_of(line)
  if value == nil then
    if rule.optional then return rule.default end
    crun.fail(where, ("%s is missing; it must be %s"):format(name, rule.words))
  end
  if not rule.test(value) then
    crun.fail(where, ("%s must be %s, got %s"):format(name, rule.words, M.say(value)))
  end
  if rule.choices then
    for _, choice in ipairs(rule.choices) do
      if choice == value then return value end
    end
    local near = type(value) == "string" and M.nearest(value, rule.choices)
    crun.fail(where, ("%s must be one of %s; got %s%s"):format(name,
      table.concat(rule.choices, ", "),
      M.say(value), near and (", did you mean '%s'?"):format(near) or ""))
  end
  if type(value) ~= "number" then return value end
  if rule.least and rule.most and (value < rule.least or value > rule.most) then
    crun.fail(where, ("%s must be in %g .. %g, got %g"):format(name, rule.least, rule.most, value))
  elseif rule.least and value < rule.least then
    crun.fail(where, ("%s must be at least %g, got %g"):format(name, rule.least, value))
  elseif rule.above and value <= rule.above then
    crun.fail(where, ("%s must be greater than %g, got %g"):format(name, rule.above, value))
  elseif rule.most and value > rule.most then
    crun.fail(where, ("%s must be at most %g, got %g"):format(name, rule.most, value))
  end
  if rule.kind == "count" or rule.kind == "integer" then return math.tointeger(value) or value end
  return value
end

--- Checks a table of options against a spec.
-- where: the name the user knows the caller by ("sampler.pk"). opts: a table, or nil for none.
-- spec: name -> kind, or { kind, default, least =, most =, above =, choices = }; a kind that ends
-- in "?" may be left out. Kinds: any number integer count (whole, >= 1) boolean string table
-- numbers callable tensor rng module.
-- Returns a new table with the defaults filled in; opts is left alone.
function M.check(where, opts, spec)
  if opts ~= nil and M.kind(opts) ~= "table" then
    crun.fail(where, "options must be a table, as in { name = value }, got " .. M.say(opts))
  end
  opts = opts or {}
  local names = M.sorted_keys(spec)
  for key in pairs(opts) do
    if spec[key] == nil then unknown(where, key, names) end
  end
  local checked = {}
  for _, name in ipairs(names) do
    checked[name] = M.check_value(where, name, opts[name], spec[name])
  end
  return checked
end

return M
