--- Samplers: which rows make a batch.
--
--     local batches = sampler.pk { labels = train.labels, p = 8, k = 4, seed = 1 }
--     for epoch = 1, 20 do
--       for rows in batches do            -- int64 tensor of row numbers, from 1
--         local x, y = images:index_select(rows, 1), labels:index_select(rows, 1)
--         ...
--       end
--     end
--
-- A sampler is its own iterator: one `for` is one epoch, the next `for` the next epoch. The batches
-- of an epoch are a pure function of (seed, epoch), so the place in training is two numbers:
-- state() gives { epoch =, batch = }, load() goes there, and leaving a `for` early continues in the
-- next one (start(epoch) begins an epoch afresh). #sampler is the number of batches of an epoch. A
-- sampler may be closed: `local s <close> = sampler.pk { ... }`.
--
-- @module crun.sampler
local crun = require "crun"
local options = require "crun.options"

local M = {}

local Sampler = { __name = "crun.sampler" }
Sampler.__index = Sampler

-- plan(epoch): a function that gives the next batch as a Lua array, as often as it is asked
local function new(where, o, batches, plan)
  return setmetatable({
    where = where, epoch = o.epoch, batch = 0, batches = batches, seed = o.seed, _plan = plan,
  }, Sampler)
end

function Sampler:__len() return self.batches end

--- The next batch of rows and its number in the epoch, or nil at the end of the epoch.
function Sampler:__call()
  if self.batch >= self.batches then
    self:start(self.epoch + 1)
    return nil
  end
  if not self._next then
    self._next = self._plan(self.epoch)
    for _ = 1, self.batch do self._next() end        -- replay up to the cursor after load()
  end
  self.batch = self.batch + 1
  return crun.int(self._next()), self.batch
end

--- Goes to the beginning of an epoch (of the one it is in, when left out).
function Sampler:start(epoch)
  self.epoch = options.check_value(self.where, "epoch", epoch, { "count", self.epoch })
  self.batch, self._next = 0, nil
  return self
end

--- The cursor: { epoch = the epoch, counted from 1, batch = batches of it already given }.
function Sampler:state() return { epoch = self.epoch, batch = self.batch } end

function Sampler:load(state)
  local o = options.check(self.where .. ":load", state,
    { epoch = "count", batch = { "integer", least = 0 } })
  self:start(o.epoch)
  self.batch = math.min(o.batch, self.batches)
  return self
end

function Sampler:__close() self._next = nil end

function Sampler:__tostring()
  return ("%s: epoch %d, batch %d of %d, seed %d"):format(self.where, self.epoch, self.batch,
    self.batches, self.seed)
end

local cursor = { epoch = { "count", 1 }, seed = { "integer", 1, least = 0 }, rng = "rng?" }

-- the spec of a sampler: its own options and those every sampler has
local function spec(own)
  for name, line in pairs(cursor) do own[name] = line end
  return own
end

-- A generator given as rng is asked once, for a seed: the batches stay a pure function of (seed,
-- epoch).
local function check(where, opts, own)
  local o = options.check(where, opts, spec(own))
  if o.rng then
    if opts.seed then crun.fail(where, "takes a seed or an rng, not both") end
    o.seed = o.rng:below(2 ^ 53 | 0)
  end
  return o
end

-- ---- every row once -----------------------------------------------------------------------------

local function rows_sampler(where, opts, shuffled)
  local o = check(where, opts, { n = "count", batch = "count", drop_last = { "boolean", false } })
  local batches = o.drop_last and o.n // o.batch or (o.n + o.batch - 1) // o.batch
  if batches == 0 then
    crun.fail(where, ("with drop_last, a batch of %d rows never fills from n = %d"):format(o.batch,
      o.n))
  end
  return new(where, o, batches, function(epoch)
    local order = {}
    for i = 1, o.n do order[i] = i end
    if shuffled then crun.rng(o.seed, where, epoch):shuffle(order) end
    local at = 0
    return function()
      local rows = table.move(order, at + 1, math.min(at + o.batch, o.n), 1, {})
      at = at + o.batch
      return rows
    end
  end)
end

--- Every row once an epoch, in random order. n rows, batch of them at a time; drop_last leaves out
-- a short last batch. seed (1) or rng, epoch to begin with (1).
function M.shuffled(opts) return rows_sampler("sampler.shuffled", opts, true) end

--- Rows 1 .. n in order; the same options.
function M.sequential(opts) return rows_sampler("sampler.sequential", opts, false) end

-- ---- p classes, k rows of each ------------------------------------------------------------------

-- Endless draws from a list: shuffle after shuffle of it. take(n) gives n entries, all different as
-- long as the list has that many: entries that are already in hand wait for the next take.
local function deck(list, rng)
  local pile, at = {}, 0
  return function(n)
    local hand, held = {}, {}
    while #hand < n do
      if at == #pile then
        local fresh = table.move(list, 1, #list, 1, {})
        rng:shuffle(fresh)
        if #hand > 0 and #list >= n then
          -- entries in hand go to the end of the fresh pile, so the hand has no doubles
          local early, late = {}, {}
          for _, x in ipairs(fresh) do
            local to = held[x] and late or early
            to[#to + 1] = x
          end
          fresh = table.move(late, 1, #late, #early + 1, early)
        end
        pile, at = fresh, 0
      end
      at = at + 1
      hand[#hand + 1] = pile[at]
      held[pile[at]] = true
    end
    return hand
  end
end

-- classes in order of their label: { label =, rows = }
local function group(labels)
  local by, classes = {}, {}
  for row, label in ipairs(labels) do
    local class = by[label]
    if not class then
      class = { label = label, rows = {} }
      by[label], classes[#classes + 1] = class, class
    end
    class.rows[#class.rows + 1] = row
  end
  table.sort(classes, function(a, b) return a.label < b.label end)
  return classes
end

local function describe_short(short, k)
  local parts = {}
  for i = 1, math.min(#short, 3) do
    parts[i] = ("class %d has %d"):format(short[i].label, #short[i].rows)
  end
  if #short > 3 then parts[4] = "..." end
  return ("%d %s fewer than k = %d rows (%s)"):format(#short, #short == 1 and "class has" or
    "classes have", k,
    table.concat(parts, ", "))
end

--- p classes and k rows of each, p k rows a batch: the batches that pair and triplet losses need.
-- Every class comes up once before any comes up again, within an epoch; rows of a class likewise.
-- An epoch is ceil(C / p) batches, or `batches`. Rows of a class stand together.
--
-- labels int64 tensor [n]; p, k (4); seed (1) or rng; epoch to begin with (1); batches.
-- short says what happens to classes with fewer than k rows:
--   "error"   refuse (the default)
--   "repeat"  rows of it repeat within a batch, each as often as the others; a class of one row is
--             still refused
--   "drop"    leave the class out; sampler.dropped lists the labels
-- Hermans, Beyer, Leibe, "In defense of the triplet loss for person re-identification", 2017, sec.
-- 2.
function M.pk(opts)
  local where = "sampler.pk"
  local o = check(where, opts, {
    labels = "tensor", p = { "count", least = 2 }, k = { "count", 4, least = 2 },
    batches = "count?",
    short = { "string", "error", choices = { "error", "repeat", "drop" } },
  })
  if o.labels:ndim() ~= 1 or o.labels:dtype() ~= "int64" then
    crun.fail(where, ("labels must be an int64 tensor [n], got %s [%s]"):format(o.labels:dtype(),
      table.concat(o.labels:shape(), ", ")))
  end

  local classes, short, single, dropped = {}, {}, nil, {}
  for _, class in ipairs(group(o.labels:totable())) do
    if #class.rows < o.k then
      short[#short + 1] = class
      if #class.rows == 1 then single = single or class end
    end
    if #class.rows >= o.k or o.short == "repeat" then
      classes[#classes + 1] = class
    else
      dropped[#dropped + 1] = class.label
    end
  end
  if #short > 0 and o.short == "error" then
    crun.fail(where, describe_short(short, o.k) ..
      "; use a smaller k, or short = \"repeat\" or \"drop\"")
  elseif single and o.short == "repeat" then
    local text = "class %d has one row, which has no other to be pulled to; use short = \"drop\""
    crun.fail(where, text:format(single.label))
  elseif #classes < o.p then
    crun.fail(where, ("p = %d classes a batch need as many classes, got %d%s"):format(o.p, #classes,
      #dropped > 0 and (" (after dropping %d with fewer than %d rows)"):format(#dropped, o.k) or
        ""))
  end

  local sampler = new(where, o, o.batches or (#classes + o.p - 1) // o.p, function(epoch)
    local rng = crun.rng(o.seed, where, epoch)
    local take_classes, take_rows = deck(classes, rng), {}
    return function()
      local batch = {}
      for _, class in ipairs(take_classes(o.p)) do
        take_rows[class] = take_rows[class] or deck(class.rows, rng)
        local rows = take_rows[class](o.k)
        table.move(rows, 1, #rows, #batch + 1, batch)
      end
      return batch
    end
  end)
  sampler.dropped, sampler.classes = dropped, #classes
  return sampler
end

return M
