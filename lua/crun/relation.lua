--- What is known of which items belong together: one object for every kind of supervision.
--
--     crun.relation { labels = y }                                  one class an item: y [B]
--     crun.relation { labels = m }                                  several: m [B C] of 0 and 1
--     crun.relation { positives = { a, p }, negatives = { a2, n } }         pairs; { a, p, weight }
--     crun.relation { triplets = { a, p, n } }                      triplets; { a, p, n, weight }
--     crun.relation { labels = y, reference_labels = yr }           queries against a reference set
--
--     criterion(z, relation)    criterion(z, relation, references)
--
-- A relation stands wherever labels stand. a, p, n are lists or int tensors of row numbers from 1;
-- p and n count in the reference set when there is one. Pairs may come with labels too: the labels
-- then say the classes (for reducers and margins by class), the pairs what is compared.
--
-- Options beside those:
--   share       labels [B C]: "any" (the default): two items belong together when they have a label
--               in common; "all": when they have the same labels
--   ignored     { i, j }: pairs that are neither positive nor negative, in both orders when there
--               is no reference set. With labels, or with pairs; triplets that have one are left
--               out
--   margins     a number for each class 1 .. C, of the anchor: takes the place of the loss's margin
--   reference_labels    [R] or [R C]
--
-- Weights multiply the loss of their pair or triplet before it is reduced. A loss that is no sum
-- over pairs or triplets (multi-similarity, circle, ...) refuses them.
--
-- Read from a relation: r.labels, r.reference_labels, r.plain (labels [B] and nothing else: what
-- the fused losses, miners and metrics take as they are), r:pairs(), r:triplets(), r:masks().
--
-- @module crun.relation
local crun = require "crun"
local options = require "crun.options"

local fail = crun.fail
local WHERE = "relation"

local Relation = { __name = "crun.relation" }
Relation.__index = Relation

-- ---- making one ---------------------------------------------------------------------------------

local function say(value)
  if options.kind(value) ~= "tensor" then return options.say(value) end
  return ("[%s]"):format(table.concat(value:shape(), ", "))
end

-- a list or tensor of whole numbers as an int tensor [n]
local function rows_of(where, name, value)
  if options.kind(value) == "table" then value = crun.int(value) end
  if options.kind(value) ~= "tensor" or value:ndim() ~= 1 or value:dtype() ~= "int64" then
    fail(where, ("%s must be row numbers: a list or an int tensor [n], got %s"):format(name,
      say(value)))
  end
  return value
end

-- { a, b, ..., [weight] } checked: n int tensors of one length, and a real tensor of it
local function columns(where, name, value, n)
  if value == nil then return nil end
  if options.kind(value) ~= "table" or #value < n or #value > n + 1 then
    fail(where, ("%s must be a table of %d lists, and perhaps weights, got %s"):format(name, n,
      options.kind(value) == "table" and #value .. " entries" or options.say(value)))
  end
  local list = {}
  for i = 1, n do
    list[i] = rows_of(where, ("%s[%d]"):format(name, i), value[i])
    if #list[i] ~= #list[1] then
      fail(where, ("%s must be lists of one length, got %d and %d"):format(name, #list[1],
        #list[i]))
    end
  end
  local weight = value[n + 1]
  if options.kind(weight) == "table" then weight = crun.tensor(weight) end
  if weight and (options.kind(weight) ~= "tensor" or weight:numel() ~= #list[1]) then
    fail(where, ("%s has %d entries, its weights are %s"):format(name, #list[1], say(weight)))
  end
  list.weight = weight
  return list
end

local function labels_of(where, name, value)
  if value == nil then return nil end
  if options.kind(value) == "table" then
    value = type(value[1]) == "table" and crun.tensor(value) or crun.int(value)
  end
  if options.kind(value) ~= "tensor" or value:ndim() < 1 or value:ndim() > 2 or
    (value:ndim() == 1 and value:dtype() ~= "int64") then
    fail(where, ("%s must be an int tensor [B], or [B C] of 0 and 1, got %s"):format(name,
      say(value)))
  end
  return value
end

local spec = {
  labels = "any", reference_labels = "any", positives = "any", negatives = "any", triplets = "any",
  ignored = "any", margins = "any",
  share = { "string", "any", choices = { "any", "all" } },
}
for _, name in ipairs { "labels", "reference_labels", "positives", "negatives", "triplets",
  "ignored",
  "margins" } do spec[name] = "any?" end

local function new(opts)
  local o = options.check(WHERE, opts, spec)
  local self = setmetatable({
    labels = labels_of(WHERE, "labels", o.labels),
    reference_labels = labels_of(WHERE, "reference_labels", o.reference_labels),
    positives = columns(WHERE, "positives", o.positives, 2),
    negatives = columns(WHERE, "negatives", o.negatives, 2),
    triples = columns(WHERE, "triplets", o.triplets, 3),
    ignored = columns(WHERE, "ignored", o.ignored, 2),
    share = o.share,
  }, Relation)
  if o.margins ~= nil then
    self.margins = options.kind(o.margins) == "table" and crun.tensor(o.margins) or o.margins
    if options.kind(self.margins) ~= "tensor" or self.margins:ndim() ~= 1 then
      fail(WHERE, "margins must be a list or a tensor [C], got " .. say(o.margins))
    end
    if not self.labels or self.labels:ndim() ~= 1 then
      fail(WHERE, "margins by class need labels [B]")
    end
  end
  if self.triples and (self.positives or self.negatives) then
    fail(WHERE, "give triplets, or positives and negatives, not both")
  end
  if (self.positives == nil) ~= (self.negatives == nil) then
    local empty = { crun.int {}, crun.int {} }
    self.positives, self.negatives = self.positives or empty, self.negatives or empty
  end
  self.listed = self.triples ~= nil or self.positives ~= nil
  if not self.labels and not self.listed then
    fail(WHERE, "give labels, positives and negatives, or triplets")
  end
  if self.reference_labels and not self.labels then
    fail(WHERE, "reference_labels go with labels")
  end
  if self.reference_labels and self.reference_labels:ndim() ~= self.labels:ndim() then
    fail(WHERE, ("labels are %s, reference_labels %s: both must be [n], or both [n C]"):format(
      say(self.labels), say(self.reference_labels)))
  end
  self.plain = self.labels ~= nil and self.labels:ndim() == 1 and not self.listed and
    not self.ignored and not self.margins
  return self
end

function Relation:__tostring()
  local parts = {}
  for _, name in ipairs { "labels", "reference_labels", "margins" } do
    if self[name] then parts[#parts + 1] = name .. " " .. say(self[name]) end
  end
  for _, name in ipairs { "positives", "negatives", "triples", "ignored" } do
    if self[name] then parts[#parts + 1] = ("%d %s"):format(#self[name][1], name) end
  end
  return "relation of " .. table.concat(parts, ", ")
end

-- ---- who belongs to whom ------------------------------------------------------------------------

-- byte [B R]: 1 where the labels agree
local function agreement(self)
  local x, y = self.labels, self.reference_labels or self.labels
  if x:ndim() == 1 then return x:unsqueeze(2):eq(y:unsqueeze(1)) end
  x, y = x:real(), y:real()
  local common = x:matmul(y, { transpose_y = true })
  if self.share == "any" then return common:gt(0) end
  -- the same labels: as many in common as each has
  local nx, ny = x:sum(2):unsqueeze(2), y:sum(2):unsqueeze(1)
  return common:eq(nx):logical_and(common:eq(ny))
end

-- byte [B R]: 1 at the rows and columns listed
local function marks(list, B, R)
  local mask = crun.zeros(B * R)
  if #list[1] > 0 then mask = mask:scatter((list[1] - 1) * R + list[2], { value = 1 }) end
  return mask:reshape(B, R):gt(0)
end

local function either(a, b) return a and b and a:logical_or(b) or a or b end
local function without(mask, other)
  return other and mask:logical_and(other:logical_not()) or mask
end

function Relation:ignored_mask(B, R)
  if not self.ignored then return nil end
  local mask = marks(self.ignored, B, R)
  if not self.reference_labels and B == R then
    mask = either(mask, marks({ self.ignored[2], self.ignored[1] }, B, R))
  end
  return mask
end

--- Two byte masks [B R]: positive pairs and negative pairs. same: rows and references are one set,
-- so the diagonal is neither. A pair listed twice is in the mask once.
function Relation:masks(B, R, same)
  if self.listed then
    local a, p, a2, n = self:pairs(B, R, same)
    return marks({ a, p }, B, R), marks({ a2, n }, B, R)
  end
  local equal = agreement(self)
  local negative, ignored = equal:logical_not(), self:ignored_mask(B, R)
  if same then equal = without(equal, crun.eye(B):byte()) end
  return without(equal, ignored), without(negative, ignored)
end

local function listing(mask)
  local index = mask:nonzero()
  return index:select(2, 1):contiguous(), index:select(2, 2):contiguous()
end

-- `list` of n columns and perhaps weights without the entries whose pair is ignored
local function keep(list, n, drop)
  if not drop then return list end
  local places = drop:logical_not():nonzero():reshape(-1)
  local kept = {}
  for i = 1, n do kept[i] = list[i]:index_select(places) end
  kept.weight = list.weight and list.weight:index_select(places)
  return kept
end

local function is_ignored(ignored, rows, others)
  return ignored and ignored:index_pairs(rows, others):gt(0)
end

--- The pairs: a, p of the positive and a2, n of the negative ones, int tensors of row numbers, and
-- their weights (nil: all 1). Positives and negatives of a triplet are one of each.
function Relation:pairs(B, R, same)
  if self.triples then
    local t = keep(self.triples, 3, self:ignored_triples(B, R))
    return t[1], t[2], t[1], t[3], t.weight, t.weight
  elseif self.positives then
    local ignored = self:ignored_mask(B, R)
    local p = keep(self.positives, 2, is_ignored(ignored, self.positives[1], self.positives[2]))
    local n = keep(self.negatives, 2, is_ignored(ignored, self.negatives[1], self.negatives[2]))
    return p[1], p[2], n[1], n[2], p.weight, n.weight
  end
  local positive, negative = self:masks(B, R, same)
  local a, p = listing(positive)
  local a2, n = listing(negative)
  return a, p, a2, n
end

function Relation:ignored_triples(B, R)
  local ignored, t = self:ignored_mask(B, R), self.triples
  return ignored and is_ignored(ignored, t[1], t[2]):logical_or(is_ignored(ignored, t[1], t[3]))
end

--- The triplets a, p, n and their weights (nil: all 1): as listed, or every positive pair of an
-- anchor with every negative pair of it; a weight is then the product of the two. Time and memory P
-- B.
function Relation:triplets(B, R, same)
  if self.triples then
    local t = keep(self.triples, 3, self:ignored_triples(B, R))
    return t[1], t[2], t[3], t.weight
  end
  if not self.listed then
    local positive, negative = self:masks(B, R, same)
    local a, p = listing(positive)
    local pair, n = listing(negative:index_select(a))
    return a:index_select(pair), p:index_select(pair), n
  end
  local a, p, a2, n, wp, wn = self:pairs(B, R, same)
  local pair, other = listing(a:unsqueeze(2):eq(a2:unsqueeze(1)))
  local weight
  if wp or wn then
    weight = wp and wp:index_select(pair)
    local second = wn and wn:index_select(other)
    weight = weight and second and weight * second or weight or second
  end
  return a:index_select(pair), p:index_select(pair), n:index_select(other), weight
end

--- How often each row is an anchor, positive or negative, by the most frequent one: what losses
-- over elements weigh them by when pairs or triplets are listed. nil when none are. anchors_only:
-- with a reference set the other numbers are not rows of the batch.
function Relation:element_weights(B, anchors_only)
  if not self.listed then return nil end
  local lists = {}
  if self.triples then
    lists = anchors_only and { self.triples[1] } or { self.triples[1], self.triples[2],
      self.triples[3] }
  else
    lists = { self.positives[1], self.negatives[1] }
    if not anchors_only then lists[3], lists[4] = self.positives[2], self.negatives[2] end
  end
  local all = crun.cat(lists, 1)
  if #all == 0 then return nil end
  local count = crun.bincount(all, { minlength = B }):real()
  return count / count:amax()
end

--- Checks the sizes against a batch of B rows and R references (B again when there are none).
function Relation:check(where, B, R, references)
  local function size(name, labels, n, what)
    if labels and labels:size(1) ~= n then
      fail(where, ("%s must have %d entries, one for each %s, got %d"):format(name, n, what,
        labels:size(1)))
    end
  end
  size("labels", self.labels, B, "row")
  if references then
    if self.labels and not self.reference_labels and not self.listed then
      fail(where, "references need reference_labels")
    end
    size("reference_labels", self.reference_labels, R, "reference")
  elseif self.reference_labels then
    fail(where, "reference_labels are given, but no references")
  end
  local function range(name, rows, n)
    if rows and #rows > 0 then
      local least, most = rows:amin():item(), rows:amax():item()
      if least < 1 or most > n then
        fail(where, ("%s must be in 1..%d, got %d"):format(name, n, least < 1 and least or most))
      end
    end
  end
  for name, list in pairs { positives = self.positives or {}, negatives = self.negatives or {},
    triplets = self.triples or {}, ignored = self.ignored or {} } do
    for i = 1, #list do range(("row numbers of %s"):format(name), list[i], i == 1 and B or R) end
  end
end

-- ---- the module ---------------------------------------------------------------------------------

local M = {}

--- A relation from what stands where labels stand: labels [B] or [B C], or a relation. tuples: { a,
-- p, n } or { a, p, a2, n } as miners return them, or nil. reference_labels: those of a reference
-- set.
function M.of(where, value, reference_labels, tuples)
  local is_relation = options.kind(value) == "relation"
  if is_relation and reference_labels == nil and tuples == nil then return value end
  local o = {}
  if is_relation then
    o.labels, o.reference_labels, o.share = value.labels, value.reference_labels, value.share
    o.margins, o.ignored = value.margins, value.ignored
    if not tuples then
      o.positives, o.negatives, o.triplets = value.positives, value.negatives, value.triples
    end
  elseif value ~= nil then
    o.labels = labels_of(where, "labels", value)
  end
  o.reference_labels = reference_labels or o.reference_labels
  if tuples then
    if options.kind(tuples) ~= "table" or #tuples < 3 or #tuples > 4 then
      fail(where, "tuples must be { a, p, n } or { a, p, a2, n }, got " ..
        (options.kind(tuples) == "table" and #tuples .. " entries" or options.say(tuples)))
    end
    if #tuples == 3 then o.triplets = tuples
    else o.positives, o.negatives = { tuples[1], tuples[2] }, { tuples[3], tuples[4] } end
  end
  return new(o)
end

--- The labels [B] of labels or a relation, for what takes nothing else (samplers, metrics); raises
-- where a relation has none.
function M.labels(where, value)
  local labels = options.kind(value) == "relation" and value.labels or value
  if options.kind(labels) ~= "tensor" or labels:ndim() ~= 1 then
    fail(where, "needs one label an item, an int tensor [B] or a relation with such labels, got " ..
      say(value))
  end
  return labels
end

return setmetatable(M, { __call = function(_, opts) return new(opts) end })
