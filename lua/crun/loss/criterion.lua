--- What every loss over labelled batches does beside its formula: options, supervision, distances,
-- reduction, and the choice between the fused loss in C and the composed one.
--
-- A definition is a table (one file each in this folder):
--
--   name, help, formula, paper
--   options     name -> line of crun.options: the loss's own
--   distance    the default, a name of crun.distances
--   unfused     names of options that only the composed form has
--   similarity  true: the names "cosine" and "dot" mean similarities, as thresholds of this loss do
--   reducer     the default, a name of crun.reducers
--   forward(o, c) -> a list of parts { name =, losses =, kind =, anchor =, other =, divisor = },
--               o the options, c the call (below)
--
-- A criterion goes to crun.native.losses.NAME when the call has the common form: labels [B]
-- (perhaps references and their labels), a distance and a reduction that the C loss has. Everything
-- else goes to forward. Both give the same numbers.
--
-- @module crun.loss.criterion
local crun = require "crun"
local distances = require "crun.distances"
local options = require "crun.options"
local reducers = require "crun.reducers"
local regularizers = require "crun.regularizers"
local relation = require "crun.relation"

local M = {}
local fail = crun.fail

-- ---- one call of a composed loss ----------------------------------------------------------------

local Call = {}
Call.__index = Call

--- The distance matrix [B R]: of x to itself, or to the references.
function Call:matrix()
  if not self._matrix then self._matrix = self.distance:matrix(self.z, self.references) end
  return self._matrix
end

--- Distances of single pairs [P].
function Call:at(rows, others) return self:matrix():index_pairs(rows, others) end

--- a, p, a2, n and the weights of positive and negative pairs.
function Call:pairs()
  local a, p, a2, n, wp, wn = self.relation:pairs(self.B, self.R, self.same)
  self._lists = { a, p, a2, n }
  return a, p, a2, n, wp, wn
end

--- a, p, n and weights.
function Call:triplets()
  local a, p, n, weight = self.relation:triplets(self.B, self.R, self.same)
  self._lists = { a, p, a, n }
  return a, p, n, weight
end

--- Byte masks [B R] of positive and of negative pairs.
function Call:masks()
  self:no_weights()
  return self.relation:masks(self.B, self.R, self.same)
end

function Call:no_weights()
  local r = self.relation
  local weights = r.positives and (r.positives.weight or r.negatives.weight) or
    r.triples and r.triples.weight
  if weights then
    fail(self.where, "is no sum over pairs: it takes no weights of pairs or triplets")
  end
end

--- The labels [B], where a loss cannot do without.
function Call:labels()
  if not self.relation.labels then fail(self.where, "needs labels, this relation has none") end
  return relation.labels(self.where, self.relation)
end

--- Weights of elements by how often the listed pairs name them, or nil.
function Call:element_weights()
  return self.relation:element_weights(self.B, self.references ~= nil)
end

--- The margin for each anchor: the option `value`, or the relation's margin of the anchor's class.
function Call:margin(value, anchors)
  local margins = self.relation.margins
  if not margins then return value end
  return margins:index_select(self.relation.labels:index_select(anchors))
end

--- Fails for a reference set or for listed pairs, which a loss may have no meaning for.
function Call:whole_batch_only(tuples_too)
  if self.references then fail(self.where, "takes no reference set") end
  if tuples_too and self.relation.listed then
    fail(self.where, "takes labels, no pairs or triplets")
  end
end

--- True where the reference implementation gives 0: no list of pairs has two entries or more.
function Call:too_few(...)
  if self.compat ~= "pml" then return false end
  for i = 1, select("#", ...) do
    if #select(i, ...) > 1 then return false end
  end
  return true
end

--- Parts of a loss. weight nil: all 1.
function Call.element(losses, anchor, name)
  return { name = name or "loss", losses = losses, kind = "element", anchor = anchor }
end
function Call.pair(losses, a, other, weight, name)
  if weight then losses = losses * weight end
  return { name = name or "loss", losses = losses, kind = "pair", anchor = a, other = other }
end
--- Parts of pairs as a single one, for a mean over all of them.
function Call.one_part(parts)
  local one = { name = "loss", kind = "pair" }
  for _, key in ipairs { "losses", "anchor", "other" } do
    local pieces = {}
    for i, part in ipairs(parts) do pieces[i] = part[key] end
    one[key] = crun.cat(pieces)
  end
  return { one }
end

function Call.triplet(losses, a, weight, name)
  if weight then losses = losses * weight end
  return { name = name or "loss", losses = losses, kind = "triplet", anchor = a }
end
function Call.reduced(loss, name)
  return { name = name or "loss", losses = loss, kind = "reduced" }
end

--- Row numbers 1 .. B.
function Call:rows() return crun.arange(1, self.B) end

-- ---- criteria -----------------------------------------------------------------------------------

local Criterion = { __name = "crun.criterion" }
M.Criterion = Criterion

-- what every composed loss has beside its own options
local general = {
  distance = "any?", normalize = "boolean?", squared = "boolean?", reduction = "string?",
  reducer = "any?", regularizer = "any?",
  compat = { "string", "none", choices = { "none", "pml" } },
  composed = { "boolean", false },
}

-- reduction = "...", as the fused losses name it, and the reducer that does the same
local reducer_of = { mean = "mean", sum = "sum", nonzero = "avg_non_zero", divisor = "divisor" }
local reduction_of = {}
for reduction, reducer in pairs(reducer_of) do reduction_of[reducer] = reduction end

local function has_choice(known, name, value)
  local o = known[name]
  return o and o.choices and (" " .. o.choices .. " "):find(" " .. value .. " ", 1, true) ~= nil
end

-- A distance object as options of the fused loss, or nil where it has none such.
local function fused_distance(definition, d)
  local name, squared
  if d.eps ~= 1e-12 then return nil end
  if d.name == "lp" or d.name == "euclidean" or d.name == "manhattan" then
    if d.power ~= 1 and d.power ~= 2 then return nil end
    name = d.p == 2 and "euclidean" or d.p == 1 and "manhattan" or nil
    if d.normalize and d.norm ~= 2 then return nil end
    squared = d.power == 2
  else
    local ending = definition.similarity and "_similarity" or ""
    local plain = { ["cosine" .. ending] = "cosine", ["dot" .. ending] = "dot" }
    name, squared = plain[d.name], false
    if d.power ~= 1 then return nil end
  end
  local normalize = name ~= "cosine" and d.normalize
  return name and { distance = name, squared = squared, normalize = normalize }
end

local methods = {}

-- the value of an option: what was set, or what the fused loss has, or the default
local function option(self, key)
  local value = rawget(self, "_set")[key]
  if value ~= nil then return value end
  if self._known[key] then return rawget(self, "_native")[key] end
  local line = self._spec[key]
  return type(line) == "table" and line[2] or nil
end

function Criterion:__index(key)
  if methods[key] then return methods[key] end
  if type(key) ~= "string" or key:sub(1, 1) == "_" then return nil end
  if key == "stats" then
    local native = rawget(self, "_native")
    return rawget(self, "_fused") and native.stats or rawget(self, "_stats")
  end
  if key == "name" then return self._definition.name end
  if key == "room" then return "losses" end
  if key == "options" then
    local all = {}
    for name in pairs(self._spec) do all[name] = option(self, name) end
    for name in pairs(self._known) do all[name] = option(self, name) end
    return all
  end
  return option(self, key)
end

local function set_distance(self, value)
  local native, known, set = self._native, self._known, self._set
  set.distance = nil
  -- what an object had brought goes with it
  if rawget(self, "_object") and native then
    for _, key in ipairs { "distance", "squared", "normalize" } do
      if known[key] then native[key] = nil end
    end
  end
  rawset(self, "_object", nil)
  if options.kind(value) ~= "distance" then
    if value == nil or (native and has_choice(known, "distance", value)) then
      if native then native.distance = value end
      set.distance = not native and value or nil
      return
    end
    distances.named(self._where, value)               -- raises for a name it does not know
    set.distance = value
    return
  end
  local fused = native and fused_distance(self._definition, value)
  if fused and has_choice(known, "distance", fused.distance) then
    for key, v in pairs(fused) do
      if known[key] then native[key] = v elseif v then fused = nil break end
    end
  end
  rawset(self, "_object", value)
  set.distance = not fused and value or nil
end

local function set_reducer(self, value)
  local set, native = self._set, self._native
  if value == nil then
    set.reducer = nil
    return
  end
  local reducer = reducers.named(self._where, value)
  local reduction = (self._definition.reductions or reduction_of)[reducer.name]
  if native and reduction and has_choice(self._known, "reduction", reduction) then
    native.reduction, set.reducer = reduction, nil
  else
    set.reducer = reducer
  end
end

function Criterion:__newindex(key, value)
  if type(key) == "string" and key:sub(1, 1) == "_" then return rawset(self, key, value) end
  local line, native = self._spec[key], self._native
  if key == "distance" then return set_distance(self, value) end
  if key == "reducer" then return set_reducer(self, value) end
  if self._known[key] and (not line or type(value) ~= "userdata" and type(value) ~= "table") then
    native[key] = value
  elseif not line then
    if native then native[key] = value end            -- raises: it knows none such either
    local names = options.sorted_keys(self._spec)
    local near = type(key) == "string" and options.nearest(key, names)
    fail(self._where, ("unknown option '%s'; %s"):format(tostring(key),
      near and ("did you mean '%s'?"):format(near) or "it takes " .. table.concat(names, ", ")))
  else
    self._set[key] = options.check_value(self._where, key, value, line)
  end
  if self._definition.changed then self._definition.changed(self, key) end
end

function Criterion:__tostring()
  local parts = {}
  if self._native then
    local inside = tostring(self._native):match "{ (.*) }"
    if inside then parts[1] = inside end
  end
  for _, key in ipairs(options.sorted_keys(self._set)) do
    parts[#parts + 1] = ("%s = %s"):format(key, tostring(self._set[key]))
  end
  return self._where .. " { " .. table.concat(parts, ", ") .. " }"
end

--- The learnable tensors and their names: of the loss, of its distance.
function methods:parameters()
  local tensors, names = {}, {}
  for _, name in ipairs(options.sorted_keys(self._parameters or {})) do
    tensors[#tensors + 1], names[#names + 1] = self._parameters[name], name
  end
  local d = self._object
  if d then
    local own, own_names = d:parameters()
    for i, tensor in ipairs(own) do
      tensors[#tensors + 1], names[#names + 1] = tensor, "distance." .. own_names[i]
    end
  end
  return tensors, names
end

--- What a checkpoint keeps: learnable tensors, and what the loss carries from call to call.
function methods:state()
  local state, tensors, names = {}, self:parameters()
  for i, name in ipairs(names) do state[name] = tensors[i] end
  for name, value in pairs(self._carried or {}) do state[name] = value end
  return state
end

function methods:load(state)
  local own = self:state()
  for name in pairs(own) do
    if state[name] == nil then fail(self._where, ("the state lacks '%s'"):format(name)) end
  end
  local _ <close> = crun.no_grad()
  for name, value in pairs(state) do
    if own[name] == nil then
      fail(self._where, ("the state holds '%s', which this loss has not"):format(name))
    elseif options.kind(own[name]) == "tensor" then own[name]:copy_(value)
    else self._carried[name] = value end
  end
end

-- ---- calling one --------------------------------------------------------------------------------

-- What follows embeddings and labels: tuples, as one table or as 3 or 4 int tensors, references,
-- their labels, and a list of what the loss takes beyond.
local function read_call(self, ...)
  local rest, tuples = { ... }, nil
  local n = select("#", ...)
  local function kind(i) return options.kind(rest[i]) end
  local function int_rows(i) return kind(i) == "tensor" and rest[i]:dtype() == "int64" end
  for i = 1, n do
    if kind(i) == "table" then
      tuples = rest[i]
      table.move(rest, i + 1, n + 1, i)
      n = n - 1
      break
    end
  end
  if not tuples and int_rows(1) then
    tuples = {}
    while #tuples < 4 and int_rows(#tuples + 1) do tuples[#tuples + 1] = rest[#tuples + 1] end
    table.move(rest, #tuples + 1, n + #tuples, 1)
  end
  if rest[1] ~= nil and kind(1) ~= "tensor" then
    fail(self._where, "references must be a tensor [R D], got " .. options.say(rest[1]))
  end
  return tuples, rest[1], rest[2], { table.unpack(rest, 3, math.max(n, 2)) }
end

local function is_plain(supervision)
  local kind = options.kind(supervision)
  if kind == "relation" then return supervision.plain end
  return kind == "tensor" and supervision:ndim() < 2 or kind ~= "table" and kind ~= "tensor"
end

local function effective_distance(self)
  local definition = self._definition
  local object = self._set.distance or (self._object and rawget(self, "_object")) or nil
  if options.kind(object) == "distance" then return object end
  local name = object or option(self, "distance") or definition.distance
  if definition.similarity and (name == "cosine" or name == "dot") then
    name = name .. "_similarity"
  end
  local squared = option(self, "squared")
  if squared == nil then
    squared = definition.squared and (name == "euclidean" or name == "manhattan")
  end
  local normalize = option(self, "normalize")
  if normalize == nil then normalize = definition.normalize end
  return distances.named(self._where, name, { squared = squared, normalize = normalize })
end

local function mean_or_nil(t) return t:numel() > 0 and t:mean():item() or 0 end

-- active share, numbers of pairs, mean distances: of what the loss has worked out anyway
local function statistics(call, parts)
  local _ <close> = crun.no_grad()
  local stats, terms, active = {}, 0, 0
  for _, part in ipairs(parts) do
    if part.losses and part.kind ~= "reduced" then
      terms = terms + part.losses:numel()
      active = active + part.losses:detach():gt(0):sum():item()
    end
  end
  stats.terms, stats.active = terms, terms > 0 and active / terms or 0
  local lists = call._lists
  if lists and call._matrix then
    local m = call._matrix:detach()
    stats.positive_distance = mean_or_nil(m:index_pairs(lists[1], lists[2]))
    stats.negative_distance = mean_or_nil(m:index_pairs(lists[3], lists[4]))
    stats.positive_pairs, stats.negative_pairs = #lists[1], #lists[3]
  end
  return stats
end

-- the composed form
local function compose(self, z, supervision, tuples, references, reference_labels, more)
  local where, definition = self._where, self._definition
  if options.kind(z) ~= "tensor" or z:ndim() ~= 2 then
    fail(where, "embeddings must be a tensor [B D], got " .. (options.kind(z) == "tensor" and
      ("[%s]"):format(table.concat(z:shape(), ", ")) or options.say(z)))
  end
  local call = setmetatable({
    where = where, z = z, references = references, B = #z, R = references and #references or #z,
    same = references == nil, distance = effective_distance(self), compat = option(self, "compat"),
    criterion = self, zero = z:narrow(1, 1, 0):sum(),
  }, Call)
  if supervision == nil and not tuples and definition.labels_optional then
    call.relation = nil
  else
    if supervision == nil and not tuples then
      fail(where, "labels must be a tensor, got nothing")
    end
    call.relation = relation.of(where, supervision, reference_labels, tuples)
    call.relation:check(where, call.B, call.R, references ~= nil)
  end
  local o = setmetatable({}, { __index = function(_, key) return option(self, key) end })
  local reducer = self._set.reducer
  call.own_reducer = reducer ~= nil
  if not reducer then
    local reduction = option(self, "reduction")
    local default = definition.reducer
    if type(default) == "function" then default = default(o) elseif reduction then
      default = reducer_of[reduction] or
        fail(where, "reduction must be one of mean, sum, nonzero, divisor; got " .. reduction)
    end
    reducer = reducers.named(where, default)
  end
  local parts = definition.forward(o, call, table.unpack(more))
  if o.regularizer then
    parts[#parts + 1] = Call.reduced(regularizers.apply(where, o.regularizer, z),
      "embedding_reg_loss")
  end
  rawset(self, "_fused", false)
  rawset(self, "_stats", statistics(call, parts))
  local r = call.relation
  return reducers.reduce(reducer, parts, {
    labels = r and r.labels, rows = call.B, zero = call.zero,
  })
end

-- whether one of these options, which the fused loss has not, is on
local function is_set(self, names)
  for _, name in ipairs(names or {}) do
    if self._set[name] then return true end
  end
  return false
end

-- whether the fused loss has this call
local function is_fused(self, supervision, tuples)
  local set = self._set
  local definition = self._definition
  return self._native and not tuples and is_plain(supervision) and
    not (set.reducer or set.distance or set.composed or is_set(self, definition.unfused)) and
    (set.compat or "none") == "none" and (supervision ~= nil or not definition.labels_optional)
end

function Criterion:__call(z, supervision, ...)
  local tuples, references, reference_labels, more = read_call(self, ...)
  if not is_fused(self, supervision, tuples) then
    return compose(self, z, supervision, tuples, references, reference_labels, more)
  end
  if options.kind(supervision) == "relation" then
    reference_labels = reference_labels or supervision.reference_labels
    supervision = supervision.labels
  end
  local call = self._definition.call
  local loss
  if call then loss = call(self, z, supervision, references, reference_labels, table.unpack(more))
  else loss = self._native(z, supervision, references, reference_labels, table.unpack(more)) end
  rawset(self, "_fused", true)
  local price = self._set.regularizer
  return price and loss + regularizers.apply(self._where, price, z) or loss
end

-- ---- constructors -------------------------------------------------------------------------------

--- A constructor of criteria from a definition.
function M.constructor(definition)
  local name = definition.name
  local where = "losses." .. name
  local native = definition.native ~= false and crun.native.losses[name] or nil
  local known, spec = {}, {}
  if native then
    for _, o in ipairs(crun.describe("losses", name).options) do known[o.name] = o end
  end
  for key, line in pairs(general) do spec[key] = line end
  for key, line in pairs(definition.options or {}) do spec[key] = line end

  return function(opts)
    if options.kind(opts) == "tensor" then
      fail(where, ("make it first, with its options: local f = crun.%s { }, then call f(...)")
        :format(where))
    end
    if opts ~= nil and options.kind(opts) ~= "table" then
      fail(where, "takes a table of options, got " .. options.say(opts))
    end
    local self = setmetatable({
      _definition = definition, _where = where, _known = known, _spec = spec, _set = {},
      _native = native and native {} or nil, _stats = {}, _parameters = {}, _carried = {},
    }, Criterion)
    for key, value in pairs(opts or {}) do self[key] = value end
    if definition.init then definition.init(self) end
    return self
  end
end

return M
