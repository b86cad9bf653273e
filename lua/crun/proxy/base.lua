--- What every loss that owns parameters has beside its formula: the C criterion's options and
-- statistics as fields of an nn.Module, and labels of any numbers.
--
-- @module crun.proxy.base
local crun = require "crun"
local nn = require "crun.nn"
local options = require "crun.options"

local M = {}
local fail, check_value = crun.fail, options.check_value

-- ---- labels -------------------------------------------------------------------------------------

--- classes = C -> C; a list or tensor of labels -> their number, and a sorted int tensor without
-- repeats.
function M.read_classes(where, classes)
  if type(classes) == "number" then return check_value(where, "classes", classes, "count") end
  if options.kind(classes) == "tensor" and classes:dtype() == "int64" then
    classes = classes:reshape(classes:numel()):totable()
  end
  if options.kind(classes) ~= "table" or #classes == 0 then
    fail(where, "classes must be a number, or a list or int tensor of labels, got " ..
      options.say(classes))
  end
  local seen, list = {}, {}
  for i, label in ipairs(classes) do
    if math.type(label) ~= "integer" then
      fail(where, ("classes must be whole numbers, got %s in place %d"):format(
        options.say(label), i))
    end
    if not seen[label] then list[#list + 1], seen[label] = label, true end
  end
  table.sort(list)
  return #list, crun.int(list)
end

-- label -> class number; made again when a state was loaded over the labels
local function label_map(self)
  if not (self._seen and self._seen:eq(self.labels):all():item() == 1) then
    rawset(self, "_seen", self.labels:clone())
    rawset(self, "_map", {})
    for class, label in ipairs(self.labels:totable()) do self._map[label] = class end
  end
  return self._map
end

--- Labels as class numbers 1 .. C. self.labels: nil, or the label of each class.
function M.class_numbers(self, labels)
  local where = self._where
  if options.kind(labels) ~= "tensor" or labels:dtype() ~= "int64" or labels:ndim() ~= 1 then
    fail(where, "labels must be an int tensor [B], got " .. options.say(labels))
  end
  if #labels == 0 then return labels end
  if not self.labels then
    local least, most = labels:amin():item(), labels:amax():item()
    if least < 1 or most > self.classes then
      fail(where, ("labels must be in 1..%d, got %d; others are named, as in classes = { 0, 1 }")
        :format(self.classes, least < 1 and least or most))
    end
    return labels
  end
  local map, out = label_map(self), labels:totable()
  for row, label in ipairs(out) do
    out[row] = map[label] or fail(where,
      ("label %d in row %d is none of the %d classes; criterion:class_map() lists them")
        :format(label, row, self.classes))
  end
  return crun.int(out)
end

--- The labels by class number, as a list: class_map()[1] is the label of class 1.
function M.class_map(self)
  if self.labels then return self.labels:totable() end
  local map = {}
  for class = 1, self.classes do map[class] = class end
  return map
end

-- ---- fields -------------------------------------------------------------------------------------

--- A class of modules around a criterion written in C: its options, and `stats`, are fields.
-- settable: name -> function(self, value) for further fields that are checked when set.
function M.class(name, base, settable)
  local class = nn.class(name, base)
  local set = nn.Module.__newindex
  function class.__index(self, key)
    local native = rawget(self, "_native")
    if native and (key == "stats" or rawget(self, "_known")[key]) then return native[key] end
    return class[key]
  end
  function class.__newindex(self, key, value)
    if rawget(self, "_known") and self._known[key] then
      self._native[key] = value
    elseif settable and settable[key] and value ~= nil then
      rawset(self, key, settable[key](self, value))
    else
      set(self, key, value)
    end
  end
  return class
end

--- Makes the criterion in C from those of opts that are its own; returns the others, checked
-- against spec.
function M.split_options(self, name, opts, spec)
  local full, known, theirs, ours = {}, {}, {}, {}
  for key, line in pairs(spec) do full[key] = line end
  for _, o in ipairs(crun.describe("losses", name).options) do
    known[o.name] = true
    if not full[o.name] then full[o.name] = "any?" end
  end
  for key, value in pairs(options.check("losses." .. name, opts, full)) do
    (known[key] and theirs or ours)[key] = value
  end
  rawset(self, "_where", "losses." .. name)
  rawset(self, "_native", crun.native.losses[name](theirs))
  rawset(self, "_known", known)
  return ours
end

--- A constructor: of the object, or of the plain criterion in C where none of `needed` is given.
function M.constructor(name, needed, spec, make)
  return function(opts)
    if opts ~= nil and options.kind(opts) ~= "table" then
      fail("losses." .. name, "takes a table of options, got " .. options.say(opts))
    end
    for _, key in ipairs(needed) do
      if opts and opts[key] ~= nil then return make(opts) end
    end
    for key in pairs(opts or {}) do
      if spec[key] then
        fail("losses." .. name, ("%s is for a loss that owns its weights: give %s"):format(key,
          table.concat(needed, ", ")))
      end
    end
    return crun.native.losses[name](opts or {})
  end
end

return M
