--- Miners: which pairs or triplets of a batch a loss shall look at.
--
--     local miner = crun.miners.multi_similarity { epsilon = 0.1 }
--     local criterion = crun.losses.contrastive { variant = "pml" }
--     local loss = criterion(z, labels, { miner(z, labels) })
--
--     local a, p, n = crun.miners.batch_hard { distance = "cosine" } (z, labels)
--     local a1, p, a2, n = crun.miners.hdc { } (z, relation)
--
-- miner(z, labels [, tuples] [, references, reference_labels]) gives int tensors of row numbers
-- from 1: a, p, n of triplets, or a1, p of positive and a2, n of negative pairs. With references, p
-- and n count among those. Nothing found is empty tensors. miner.stats says how many were found;
-- options can be read and set (miner.margin = 0.3), so they can be scheduled.
--
--   labels      int tensor [B], or a crun.relation (several labels, pairs, ignored pairs, ...)
--   tuples      { a1, p, a2, n } or { a, p, n }: mines among these pairs only, as in a cascade
--   distance    a name, or anything of crun.distances (a similarity s is mined as -s)
--
-- The formulas are in runtime/miners/NAME.c and `crun help miner NAME`. Random miners draw by seed
-- and step; where step is left out it counts the calls, and miner:state() and miner:load(state) put
-- it into a checkpoint.
--
-- @module crun.miners
local crun = require "crun"
local distances = require "crun.distances"
local options = require "crun.options"
local relation = require "crun.relation"

local fail = crun.fail
local native = crun.native.miners

local Miner = { __name = "crun.miner", room = "miners" }

local function is_tensor(value) return options.kind(value) == "tensor" end

-- allowed_pos_range = { least, most } is two options of the C miner
local RANGES <const> = {
  allowed_pos_range = { "pos_least", "pos_most" }, allowed_neg_range = { "neg_least", "neg_most" },
}

local function set_range(self, name, range)
  if range ~= nil and (type(range) ~= "table" or #range ~= 2 or
    type(range[1]) ~= "number" or type(range[2]) ~= "number") then
    fail(self.where, name .. " must be { least, most }, got " .. options.say(range))
  end
  for i, key in ipairs(RANGES[name]) do self.native[key] = range and range[i] end
end

local function set(self, name, value)
  if name == "distance" and options.kind(value) == "distance" then
    rawset(self, "measure", value)
  elseif RANGES[name] and self.ranged then
    set_range(self, name, value)
  else
    if name == "distance" then rawset(self, "measure", nil) end
    if name == "step" then rawset(self, "counts", value == nil) end
    self.native[name] = value
  end
end

function Miner:__index(name)
  local method = rawget(Miner, name)
  if method ~= nil then return method end
  if name == "distance" and rawget(self, "measure") then return rawget(self, "measure") end
  return rawget(self, "native")[name]
end

function Miner:__newindex(name, value) set(self, name, value) end

function Miner:__tostring() return tostring(self.native) end

-- labels, reference labels and a byte matrix in their place, as the C miner takes them
local function supervision(self, z, labels, references, reference_labels, tuples)
  local related = options.kind(labels) == "relation"
  if is_tensor(tuples) then return labels, reference_labels, tuples end
  if tuples == nil and not related and not (is_tensor(labels) and labels:ndim() == 2) then
    return labels, reference_labels, nil
  end
  local r = relation.of(self.where, labels, reference_labels, tuples)
  local B = z:size(1)
  local R = references and references:size(1) or B
  r:check(self.where, B, R, references ~= nil)
  if r.plain and (references ~= nil) == (r.reference_labels ~= nil) then
    return r.labels, r.reference_labels, nil
  end
  local positive, negative = r:masks(B, R, references == nil)
  local both = (positive:real() + negative:real() * 2):byte()
  return nil, nil, both
end

local function matrix(self, z, references)
  local measure = rawget(self, "measure")
  if not measure then return nil end
  local _ <close> = crun.no_grad()
  local d = measure:matrix(z, references)
  return (measure.inverted and -d or d):detach()
end

function Miner:__call(z, labels, references, reference_labels, tuples, given)
  if options.kind(references) == "table" then           -- tuples may come first, as for a loss
    references, reference_labels, tuples = reference_labels, tuples, references
  end
  if not self.plain or not is_tensor(z) then
    return self.native(z, labels, references, reference_labels, tuples, given)
  end
  local y, ry, mask = supervision(self, z, labels, references, reference_labels, tuples)
  local results = table.pack(self.native(z, y, references, ry, mask,
    given or matrix(self, z, references)))
  if self.counts then self.native.step = self.native.step + 1 end
  return table.unpack(results, 1, results.n)
end

--- Where a random miner is, for a checkpoint; the others have nothing to keep.
function Miner:state() return { step = self.native.step } end

function Miner:load(state)
  if self.native.step ~= nil then
    local o = options.check(self.where .. ":load", state, { step = { "integer", least = 0 } })
    self.native.step = o.step
  end
  return self
end

local makers = {}

local function maker_of(name)
  local where = "miners." .. name
  local known = {}
  local d = crun.describe("miners", name)
  for _, o in ipairs(d.options) do known[o.name] = true end
  return function(opts)
    if is_tensor(opts) then
      fail(where, ("make it first, with its options: local f = crun.%s { }, then call f(...)")
        :format(where))
    elseif opts ~= nil and options.kind(opts) ~= "table" then
      fail(where, "takes a table of options, got " .. options.say(opts))
    end
    local own, mine = {}, {}
    for key, value in pairs(opts or {}) do
      local ours = known.pos_least and RANGES[key] or
        key == "distance" and known.distance and options.kind(value) == "distance"
      if ours then mine[key] = value else own[key] = value end
    end
    local self = setmetatable({ where = where, native = native[name](own), ranged = known.pos_least,
      plain = #d.inputs == 6, counts = known.step and own.step == nil }, Miner)
    for key, value in pairs(mine) do set(self, key, value) end
    return self
  end
end

local M = {}

return setmetatable(M, {
  __index = function(_, name)
    if makers[name] == nil and native[name] then makers[name] = maker_of(name) end
    return makers[name]
  end,
  __pairs = function()
    return coroutine.wrap(function()
      for _, name in ipairs(options.sorted_keys(native)) do coroutine.yield(name, M[name]) end
    end)
  end,
})
