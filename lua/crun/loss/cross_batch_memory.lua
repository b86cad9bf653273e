--- Cross-batch memory: the loss of a batch against a queue of the embeddings of the last batches.
--
--     local criterion = crun.losses.cross_batch_memory {
--       loss = crun.losses.contrastive { variant = "pml" }, dim = 64, size = 1024 }
--     local loss = criterion(z, labels)
--
-- Each call puts its batch into the queue, over the oldest rows once it is full, and compares every
-- row with the whole queue but for its own copy. Rows of the queue are constants: the gradient goes
-- to the batch.
--
--   miner     picks among the pairs of batch and queue
--   enqueue   criterion(z, labels, tuples, rows): only these rows (a byte mask [B] or row numbers)
--             go into the queue, and only the others are compared with it (MoCo's keys)
--   tuples    more pairs or triplets: anchors count in the batch, the rest in the queue, as
--             criterion.places gives the places of the batch's rows in it
--   compat    "pml": what pytorch-metric-learning does where that looks like a slip: tuples are
--             lists, not relations (NCA then keeps a row's own copy); a batch of one row is
--             compared with its copy
--
-- state() holds the queue, its labels, the place to write next (0-based) and whether it is full.
-- Memory: size x dim, and batch x size in a call. Wang, Zhang, Huang, Scott, "Cross-batch memory
-- for embedding learning", CVPR 2020.
local crun = require "crun"
local options = require "crun.options"
local relation = require "crun.relation"
local wrapper = require "crun.loss.wrapper"

local fail = crun.fail

local function make(self, o)
  self._children, self.miner, self.compat = { o.loss }, o.miner, o.compat
  self.size, self.dim = o.size, o.dim
  self._carried = {
    memory = crun.zeros(o.size, o.dim), labels = crun.zeros(o.size):int(), cursor = 0, full = false,
  }
end

-- writes rows behind the cursor; returns their places in the queue, from 1
local function put(self, z, labels)
  local own, n = self._carried, #z
  local places = {}
  for i = 1, n do places[i] = (own.cursor + i - 1) % self.size + 1 end
  local first = math.min(n, self.size - own.cursor)
  local function copy(queue, rows)
    if first > 0 then queue:narrow(1, own.cursor + 1, first):copy_(rows:narrow(1, 1, first)) end
    if n > first then queue:narrow(1, 1, n - first):copy_(rows:narrow(1, first + 1, n - first)) end
  end
  copy(own.memory, z:detach())
  copy(own.labels, labels)
  local before = own.cursor
  own.cursor = (own.cursor + n) % self.size
  own.full = own.full or own.cursor <= before and n > 0
  return crun.int(places)
end

-- the pairs or triplets of (rows, places) but those of a row with its own copy
local function without_own(tuples, places)
  local a, p = tuples[1], tuples[2]
  if #a == 0 then return tuples end
  local keep = places:index_select(a):ne(p):nonzero():reshape(-1)
  local kept = { a:index_select(keep), p:index_select(keep) }
  if #tuples == 3 then kept[3] = tuples[3]:index_select(keep)
  else kept[3], kept[4] = tuples[3], tuples[4] end
  return kept
end

local function joined(tuples, more, same_kind)
  if #tuples ~= #more then
    local r = relation.of("losses.cross_batch_memory", nil, nil, more)
    local big = 1 << 40
    more = #tuples == 4 and { r:pairs(big, big, false) } or { r:triplets(big, big, false) }
  end
  local all = {}
  for i = 1, #tuples do all[i] = crun.cat { tuples[i], more[i] } end
  return all
end

-- a byte mask [B] or row numbers -> the rows that are named, and the others
local function parted(self, enqueue, B)
  local kind = options.kind(enqueue)
  if kind == "table" then enqueue, kind = crun.int(enqueue), "tensor" end
  if kind ~= "tensor" then
    fail(self._where, "enqueue must be row numbers or a byte mask, got " .. options.say(enqueue))
  end
  local mask = enqueue
  if enqueue:dtype() ~= "uint8" then mask = crun.zeros(B):scatter(enqueue, { value = 1 }):gt(0) end
  if #mask ~= B then
    fail(self._where, ("the mask of enqueue must have %d entries, got %d"):format(B, #mask))
  end
  return mask:nonzero():reshape(-1), mask:logical_not():nonzero():reshape(-1)
end

local function forward(self, z, labels, tuples, enqueue)
  if options.kind(z) ~= "tensor" or z:ndim() ~= 2 or z:size(2) ~= self.dim then
    fail(self._where, ("embeddings must be a tensor [B %d]"):format(self.dim))
  end
  labels = relation.labels(self._where, labels)
  local queued, queued_labels = z, labels
  if enqueue ~= nil then
    local rows, others = parted(self, enqueue, #z)
    queued, queued_labels = z:index_select(rows), labels:index_select(rows)
    z, labels = z:index_select(others), labels:index_select(others)
  end
  if #queued > self.size then
    fail(self._where, ("a batch of %d does not fit into a queue of %d"):format(#queued, self.size))
  end
  local own = self._carried
  local places = put(self, queued, queued_labels)
  self.places = places
  local filled = own.full and self.size or own.cursor
  -- copies: the next call writes into the queue while the graph of this one may still stand
  local memory = own.memory:narrow(1, 1, filled):clone()
  local memory_labels = own.labels:narrow(1, 1, filled):clone()
  self.stats = { queue = filled }
  local drop_own = enqueue == nil and not (self.compat == "pml" and #z == 1)

  local criterion = self._children[1]
  if not self.miner and not tuples and self.compat ~= "pml" then
    local ignored = drop_own and { crun.arange(1, #z), places } or nil
    local known = { labels = labels, reference_labels = memory_labels, ignored = ignored }
    return criterion(z, crun.relation(known), memory)
  end
  local chosen
  if self.miner then
    chosen = { self.miner(z, labels, memory, memory_labels) }
    if #chosen == 1 and options.kind(chosen[1]) == "table" then chosen = chosen[1] end
  else
    local all = crun.relation { labels = labels, reference_labels = memory_labels }
    local a, p, a2, n = all:pairs(#z, filled, false)
    chosen = { a, p, a2, n }
  end
  if drop_own then chosen = without_own(chosen, places) end
  if tuples then chosen = joined(chosen, tuples) end
  return criterion(z, labels, chosen, memory, memory_labels)
end

return wrapper.constructor("cross_batch_memory", "a loss against a queue of past batches", {
  loss = "any", dim = "count", size = { "count", 1024 }, miner = "any?",
  compat = { "string", "none", choices = { "none", "pml" } },
}, make, forward)
