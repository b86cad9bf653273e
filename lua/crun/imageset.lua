--- imageset.lua - what a data set is in memory: rows, their classes, and parts of it
--
--     set.images    uint8 [N C H W] (or set.points and others: whatever the set's kind has)
--     set.labels    int64 [N], class numbers from 1; set.names[label] is a class's name
--     local parts = set:split { train = 60, val = 0.2, test = "rest", seed = 1 }
--
-- Every field that has an entry a row follows when rows are taken: int64, uint8 and real tensors
-- through index_select, lists entry by entry. Labels stay those of the whole set.
local crun = require "crun"
local options = require "crun.options"

local M = {}
local Set = {}
Set.__index = Set
Set.__name = "crun.imageset"

local EXIT_DATA <const> = 4

--- M.new { labels =, names =, NAME = tensor or list, ... }: a set. by_row: the names of the fields
-- that have an entry a row (labels is one always). noun: { one class, several } in messages. where:
-- how messages begin.
function M.new(fields, by_row, where, noun)
  fields.all_names = fields.all_names or fields.names
  fields.classes = {}                                       -- the labels that names stand for
  for label in ipairs(fields.names) do fields.classes[label] = label end
  fields.by_row, fields.where = by_row, where
  fields.noun = noun or { "class", "classes" }
  return setmetatable(fields, Set)
end

--- The set of the rows of an int64 tensor, in its order. Labels stay; names are those of the whole
-- set.
function Set:rows(rows)
  options.check_value(self.where .. ":rows", "rows", rows, "tensor")
  local part = {}
  for name, value in pairs(self) do part[name] = value end
  part.labels = self.labels:index_select(rows, 1)
  for _, name in ipairs(self.by_row) do
    local value = self[name]
    if crun.is_tensor(value) then
      part[name] = value:index_select(rows, 1)
    else
      local list = {}
      for i, row in ipairs(rows:totable()) do list[i] = value[row] end
      part[name] = list
    end
  end
  return setmetatable(part, Set)
end

--- The rows of these classes, in the order they have in the whole set; labels stay the same, names
-- are those of these classes.
function Set:people(labels)
  local wanted, rows, names = {}, {}, {}
  for i, label in ipairs(labels) do
    wanted[label] = true
    names[i] = self.all_names[label]
  end
  for row, label in ipairs(self.labels:totable()) do
    if wanted[label] then rows[#rows + 1] = row end
  end
  local part = self:rows(crun.int(rows))
  part.names, part.classes = names, table.move(labels, 1, #labels, 1, {})
  return part
end

-- s2 before s10: runs of digits count as numbers
local function natural_key(name)
  return (name:gsub("%d+",
    function(digits) return ("%020d"):format(tonumber(digits:sub(1, 18))) end))
end

local function shuffled(order, seed)
  local rows = crun.randperm(crun.rng(seed, "imagefolder.split"), #order):totable()
  local mixed = {}
  for i, row in ipairs(rows) do mixed[i] = order[row] end
  return mixed
end

--- Parts that share no class: { train = ..., val = ..., test = ... }, names of your choice. Each
-- part is a number of classes, a share of them (below 1), a list of names, or "rest" (once). Lists
-- are served first; then train, val, test and other names in the alphabet's order take classes from
-- the front of the natural order (s2 before s10), or, with `seed`, of an order drawn from it.
-- Returns a table of sets. Labels stay those of the whole set: set.names are the classes of the
-- part, set.all_names[label] is the name of a label.
function Set:split(parts)
  if type(parts) ~= "table" then
    crun.fail(self.where .. ":split", "expected a table, got " .. options.say(parts))
  end
  local where, one, several = self.where .. ":split", self.noun[1], self.noun[2]
  local name_of = self.all_names
  local seed = parts.seed
  if seed ~= nil then options.check_value(where, "seed", seed, "integer") end
  local order, label_of, taken = {}, {}, {}
  for i, label in ipairs(self.classes) do order[i], label_of[name_of[label]] = label, label end
  table.sort(order, function(a, b)
    local ka, kb = natural_key(name_of[a]), natural_key(name_of[b])
    if ka ~= kb then return ka < kb end
    return name_of[a] < name_of[b]
  end)
  if seed then order = shuffled(order, seed) end

  local rank = { train = 1, val = 2, test = 3 }
  local names = {}
  for name in pairs(parts) do
    if name ~= "seed" then names[#names + 1] = name end
  end
  table.sort(names, function(a, b)
    if (rank[a] or 4) ~= (rank[b] or 4) then return (rank[a] or 4) < (rank[b] or 4) end
    return a < b
  end)

  local chosen, rest = {}, nil
  local function take(part, label)
    if taken[label] then
      crun.fail(where, ("%s is in %s and in %s"):format(name_of[label], taken[label], part),
        EXIT_DATA)
    end
    taken[label] = part
    table.insert(chosen[part], label)
  end
  for _, part in ipairs(names) do
    chosen[part] = {}
    if type(parts[part]) == "table" then
      for _, name in ipairs(parts[part]) do
        if not label_of[name] then
          local near = options.nearest(tostring(name), self.names)
          crun.fail(where, ("there is no %s '%s'%s"):format(one, tostring(name),
            near and ("; did you mean '%s'?"):format(near) or ""), EXIT_DATA)
        end
        take(part, label_of[name])
      end
    elseif parts[part] == "rest" then
      if rest then crun.fail(where, ("%s and %s cannot both be the rest"):format(rest, part)) end
      rest = part
    end
  end
  local at = 1
  local function take_next(part, wanted)
    local got = 0
    while got < wanted do
      while order[at] and taken[order[at]] do at = at + 1 end
      if not order[at] then
        crun.fail(where, ("%s wants %d %s, %d are left of %d"):format(part, wanted,
          several, got, #order), EXIT_DATA)
      end
      take(part, order[at])
      got = got + 1
    end
  end
  for _, part in ipairs(names) do
    local wish = parts[part]
    if type(wish) == "number" then
      options.check_value(where, part, wish, { "number", above = 0 })
      take_next(part, wish < 1 and math.max(1, math.floor(wish * #order + 0.5)) or
        options.check_value(where, part, wish, "count"))
    elseif type(wish) ~= "table" and wish ~= "rest" then
      crun.fail(where, ("%s must be a number of %s, a share, a list of names or \"rest\", got %s")
        :format(part, several, options.say(wish)))
    end
  end
  if rest then
    for _, label in ipairs(order) do
      if not taken[label] then take(rest, label) end
    end
  end
  local sets = {}
  for _, part in ipairs(names) do
    if #chosen[part] == 0 then crun.fail(where, part .. " is left with no " .. several, EXIT_DATA) end
    sets[part] = self:people(chosen[part])
  end
  return sets
end


--- How many rows it has.
function Set:__len() return #self.labels end

function Set:__tostring()
  local shape = self.images and self.images:shape()
  return ("%d %s of %d %s%s"):format(#self, shape and "images" or "rows", #self.names,
    self.noun[2], shape and (", %s%d x %d"):format(shape[2] == 1 and "" or shape[2] .. " x ",
    shape[3], shape[4]) or "")
end

return M
