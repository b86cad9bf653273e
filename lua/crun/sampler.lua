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

local function check_labels(where, name, labels)
  if labels:ndim() ~= 1 or labels:dtype() ~= "int64" then
    crun.fail(where, ("%s must be an int64 tensor [n], got %s [%s]"):format(name, labels:dtype(),
      table.concat(labels:shape(), ", ")))
  end
end

-- The classes of o.labels that k rows can be drawn from, and the labels of those that are dropped;
-- o.short says what becomes of classes with fewer.
local function classes_of(where, o)
  check_labels(where, "labels", o.labels)
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
  end
  return classes, dropped
end

local function after_dropping(dropped, k)
  return #dropped == 0 and "" or
    (" (after dropping %d with fewer than %d rows)"):format(#dropped, k)
end

local short_option = { "string", "error", choices = { "error", "repeat", "drop" } }

-- k rows of each class of a list, side by side; a deck for each class, kept in `decks`
local function rows_of(classes, k, decks, rng)
  local batch = {}
  for _, class in ipairs(classes) do
    decks[class] = decks[class] or deck(class.rows, rng)
    local rows = decks[class](k)
    table.move(rows, 1, #rows, #batch + 1, batch)
  end
  return batch
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
    short = short_option,
  })
  local classes, dropped = classes_of(where, o)
  if #classes < o.p then
    crun.fail(where, ("p = %d classes a batch need as many classes, got %d%s"):format(o.p, #classes,
      after_dropping(dropped, o.k)))
  end

  local sampler = new(where, o, o.batches or (#classes + o.p - 1) // o.p, function(epoch)
    local rng = crun.rng(o.seed, where, epoch)
    local take_classes, decks = deck(classes, rng), {}
    return function() return rows_of(take_classes(o.p), o.k, decks, rng) end
  end)
  sampler.dropped, sampler.classes = dropped, #classes
  return sampler
end

-- ---- classes by weight --------------------------------------------------------------------------

-- n different entries of a list, each drawn in proportion to its weight among those that are left:
-- the n largest of u^(1/w), compared as log(u)/w. Efraimidis, Spirakis, "Weighted random sampling
-- with a reservoir", 2006.
local function weighted_draw(list, weights, n, rng)
  local keyed = {}
  for i, entry in ipairs(list) do
    local u = rng:uniform()
    if weights[i] > 0 then
      keyed[#keyed + 1] = { math.log(u > 0 and u or 2.0 ^ -60) / weights[i], i, entry }
    end
  end
  table.sort(keyed, function(a, b)
    if a[1] ~= b[1] then return a[1] > b[1] end
    return a[2] < b[2]
  end)
  local drawn = {}
  for i = 1, n do drawn[i] = keyed[i][3] end
  return drawn
end

-- Weights of classes: a table label -> weight (1 when it has none), or a function of (label, rows).
local function weights_of(where, given, classes, p)
  local weights, positive = {}, 0
  for i, class in ipairs(classes) do
    local w = 1
    if type(given) == "function" then w = given(class.label, #class.rows)
    elseif given and given[class.label] ~= nil then w = given[class.label] end
    if type(w) ~= "number" or not (w >= 0 and w < math.huge) then
      crun.fail(where, ("the weight of class %d must be a number, 0 or more, got %s"):format(
        class.label, options.say(w)))
    end
    weights[i] = w
    if w > 0 then positive = positive + 1 end
  end
  if positive < p then
    local text = "p = %d classes a batch need as many classes with a weight above 0, got %d"
    crun.fail(where, text:format(p, positive))
  end
  return weights
end

--- p different classes drawn by weight, and k rows of each: rare or hard classes more often.
-- labels, p, k (4; 1 will do, for losses against proxies), short, batches (an epoch: ceil(C / p))
-- as in pk. weights: a table label -> weight (1 where it has none), or a function of (label, number
-- of rows) such as function(_, n) return n ^ 0.5 end; all 1 when left out.
function M.class_weighted(opts)
  local where = "sampler.class_weighted"
  local o = check(where, opts, {
    labels = "tensor", p = "count", k = { "count", 4 }, batches = "count?", short = short_option,
    weights = "any?",
  })
  if o.weights ~= nil and type(o.weights) ~= "table" and type(o.weights) ~= "function" then
    crun.fail(where, "weights must be a table label -> weight or a function, got " ..
      options.say(o.weights))
  end
  local classes, dropped = classes_of(where, o)
  local weights = weights_of(where, o.weights, classes, o.p)
  local sampler = new(where, o, o.batches or (#classes + o.p - 1) // o.p, function(epoch)
    local rng, decks = crun.rng(o.seed, where, epoch), {}
    return function() return rows_of(weighted_draw(classes, weights, o.p, rng), o.k, decks, rng) end
  end)
  sampler.dropped, sampler.classes = dropped, #classes
  return sampler
end

-- ---- classes within groups ----------------------------------------------------------------------

-- groups in order of their label: { label =, classes = }, of at least p classes each
local function group_classes(where, o, classes)
  check_labels(where, "groups", o.groups)
  if #o.groups ~= #o.labels then
    crun.fail(where, ("groups must have an entry for each of the %d labels, got %d"):format(
      #o.labels, #o.groups))
  end
  local by, groups, label = {}, {}, o.groups:totable()
  for _, class in ipairs(classes) do
    local own = label[class.rows[1]]
    for _, row in ipairs(class.rows) do
      if label[row] ~= own then
        crun.fail(where, ("class %d lies in two groups, %d and %d"):format(class.label, own,
          label[row]))
      end
    end
    if not by[own] then
      by[own] = { label = own, classes = {} }
      groups[#groups + 1] = by[own]
    end
    table.insert(by[own].classes, class)
  end
  table.sort(groups, function(a, b) return a.label < b.label end)
  local kept, small = {}, {}
  for _, g in ipairs(groups) do
    local to = #g.classes >= o.p and kept or small
    to[#to + 1] = g
  end
  if #small > 0 and o.short ~= "drop" then
    local text = "group %d has %d classes, fewer than p = %d; use a smaller p, or short = \"drop\""
    crun.fail(where, text:format(small[1].label, #small[1].classes, o.p))
  end
  if #kept < o.g then
    local gone = #small == 0 and "" or
      (" (after dropping %d with fewer than %d classes)"):format(#small, o.p)
    local text = "g = %d groups a batch need as many groups, got %d%s"
    crun.fail(where, text:format(o.g, #kept, gone))
  end
  return kept
end

local function grouped(where, opts, stay, weigh)
  local o = check(where, opts, {
    labels = "tensor", groups = "tensor", g = { "count", 2 }, p = { "count", 4 },
    k = { "count", 4, least = 2 }, batches = "count?", short = short_option,
    stay = stay and { "count", stay } or nil, weigh = weigh and { "boolean", false } or nil,
  })
  local classes, dropped = classes_of(where, o)
  local groups, sizes = group_classes(where, o, classes), {}
  for i, one in ipairs(groups) do sizes[i] = #one.classes end
  local each = o.stay or 1
  local sampler = new(where, o, o.batches or (#groups + o.g - 1) // o.g * each, function(epoch)
    local rng = crun.rng(o.seed, where, epoch)
    local take_groups, take_classes, decks = deck(groups, rng), {}, {}
    local chosen, count = nil, 0
    return function()
      if count % each == 0 then
        chosen = o.weigh and weighted_draw(groups, sizes, o.g, rng) or take_groups(o.g)
      end
      count = count + 1
      local batch = {}
      for _, one in ipairs(chosen) do
        take_classes[one] = take_classes[one] or deck(one.classes, rng)
        table.move(take_classes[one](o.p), 1, o.p, #batch + 1, batch)
      end
      return rows_of(batch, o.k, decks, rng)
    end
  end)
  sampler.dropped, sampler.classes, sampler.groups = dropped, #classes, #groups
  return sampler
end

--- g groups, p classes of each, k rows of each class: g p k rows, and `stay` batches (4) in a row
-- from the same groups, so that a network meets hard neighbours: breeds of dogs, chairs among
-- furniture. labels and groups int64 tensors [n], every class in one group; g (2), p (4), k (4);
-- short as in pk ("drop" also leaves groups of fewer than p classes out); batches (an epoch: stay
-- ceil(G / g)). pytorch-metric-learning's HierarchicalSampler has such batches.
function M.hierarchical(opts) return grouped("sampler.hierarchical", opts, 4, false) end

--- The same with new groups for every batch, each group as often as the others however large it is,
-- or with weigh = true in proportion to its number of classes: balanced categories.
function M.categories(opts) return grouped("sampler.categories", opts, nil, true) end

-- ---- triplets that are given --------------------------------------------------------------------

--- Batches of fixed triplets. triplets: int64 tensor [T 3] of row numbers anchor, positive,
-- negative; or labels, and number: so many triplets are drawn once, from the seed alone, every
-- anchor class equally likely. batch: triplets at a time; 3 batch rows, a p n a p n ...;
-- sampler.tuples(rows) tells a loss which is which. Each triplet comes once an epoch, in random
-- order. drop_last.
function M.triplets(opts)
  local where = "sampler.triplets"
  local o = check(where, opts, {
    triplets = "tensor?", labels = "tensor?", number = "count?", batch = "count",
    drop_last = { "boolean", false },
  })
  if (o.triplets == nil) == (o.labels == nil) or (o.labels == nil) ~= (o.number == nil) then
    crun.fail(where, "takes triplets, or labels and the number of triplets to draw from them")
  end
  local list = {}
  if o.triplets then
    local t = o.triplets
    if t:dtype() ~= "int64" or t:ndim() ~= 2 or t:size(2) ~= 3 or #t == 0 then
      crun.fail(where, ("triplets must be an int64 tensor [T, 3], got %s [%s]"):format(t:dtype(),
        table.concat(t:shape(), ", ")))
    end
    list = t:totable()
  else
    check_labels(where, "labels", o.labels)
    local all, anchors, rng = group(o.labels:totable()), {}, crun.rng(o.seed, where)
    for _, class in ipairs(all) do
      if #class.rows > 1 then anchors[#anchors + 1] = class end
    end
    if #anchors == 0 or #all < 2 then
      crun.fail(where, "a triplet needs a class of two rows or more and another class")
    end
    for i = 1, o.number do
      local class, other = anchors[rng:below(#anchors)], nil
      local anchor, positive = rng:below(#class.rows), rng:below(#class.rows - 1)
      if positive >= anchor then positive = positive + 1 end
      repeat other = all[rng:below(#all)] until other ~= class
      list[i] = { class.rows[anchor], class.rows[positive], other.rows[rng:below(#other.rows)] }
    end
  end
  local batches = o.drop_last and #list // o.batch or (#list + o.batch - 1) // o.batch
  if batches == 0 then
    crun.fail(where, ("with drop_last, a batch of %d triplets never fills from %d"):format(o.batch,
      #list))
  end
  local sampler = new(where, o, batches, function(epoch)
    local order, at = table.move(list, 1, #list, 1, {}), 0
    crun.rng(o.seed, where, epoch):shuffle(order)
    return function()
      local rows = {}
      for i = at + 1, math.min(at + o.batch, #order) do
        table.move(order[i], 1, 3, #rows + 1, rows)
      end
      at = at + o.batch
      return rows
    end
  end)
  sampler.triplets = crun.int(list)
  return sampler
end

--- { a, p, n } for criterion(z, labels, tuples): which rows of a batch of sampler.triplets are
-- which.
function M.tuples(rows)
  local n = #rows
  if n % 3 ~= 0 then crun.fail("sampler.tuples", ("takes rows in threes, got %d"):format(n)) end
  local first = crun.arange(1, n, 3)
  return { first, first + 1, first + 2 }
end

-- ---- several views of a row ---------------------------------------------------------------------

--- Every row once an epoch, in random order, and each row of a batch `views` (2) times: first all
-- rows, then all again, so the halves of a batch are two views, and labels = rows pairs them up. n,
-- batch (rows, so views * batch in all), drop_last (true: losses of views want full batches).
function M.views(opts)
  local where = "sampler.views"
  local o = check(where, opts, {
    n = "count", batch = "count", views = { "count", 2 }, drop_last = { "boolean", true },
  })
  local once = rows_sampler(where, {
    n = o.n, batch = o.batch, drop_last = o.drop_last, seed = o.seed,
  }, true)
  return new(where, o, #once, function(epoch)
    local next_rows = once._plan(epoch)
    return function()
      local rows, all = next_rows(), {}
      for v = 0, o.views - 1 do table.move(rows, 1, #rows, v * #rows + 1, all) end
      return all
    end
  end)
end

--- Batches for losses.magnet: a cluster and its nearest impostors. See lua/crun/magnet.lua.
function M.magnet(opts) return require("crun.magnet").new(opts) end

return M
