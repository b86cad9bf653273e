--- The cluster index of the magnet loss, and its batches: a cluster and its nearest impostors.
--
--     local index = crun.sampler.magnet { labels = labels, clusters = 3, m = 8, d = 8, seed = 1 }
--     local criterion = crun.losses.magnet { alpha = 1, reduction = "none" }
--     for epoch = 1, epochs do
--       index:refresh(crun.eval.embed(net, images))           -- the clusters of this epoch
--       for rows in index do
--         local losses = criterion(net(images:index_select(rows)), index:clusters(rows))
--         opt:zero_grad() losses:mean():backward() opt:step()
--         index:record(rows, losses)                          -- hard clusters are drawn more often
--       end
--     end
--
-- refresh(z) cuts every class into clusters by k-means++ of its embeddings. A batch is then drawn
-- as the paper has it: a seed cluster in proportion to the losses of its rows, the m - 1 clusters
-- of other classes whose centres are nearest to its own, and d rows of each, evenly, none twice
-- (all of them, where a cluster has fewer). A row that has no loss yet counts as the mean of those
-- that have.
--
-- It is a sampler: an iterator with a cursor. The batch is a pure function of (seed, epoch, batch),
-- of the clusters and of the losses recorded; state() holds all of these, so a resumed run draws
-- the same. Cost: k-means of each class for refresh; clusters x D for a batch.
--
-- Rippel, Paluri, Dollar, Bourdev, "Metric Learning with Adaptive Density Discrimination", ICLR
-- 2016, sec. 3.2.
--
-- @module crun.magnet
local crun = require "crun"
local options = require "crun.options"

local M = {}
local WHERE <const> = "sampler.magnet"
local UNKNOWN <const> = -1            -- the loss of a row that has none yet
local fail = crun.fail

local Index = { __name = "crun.sampler" }
Index.__index = Index

--- labels int64 tensor [n]; clusters (3) of a class, at most; m (4) clusters a batch; d (4) rows of
-- each; batches an epoch (ceil(n / (m d))); iterations (100) of k-means at most; seed (1); epoch
-- (1).
function M.new(opts)
  local o = options.check(WHERE, opts, {
    labels = "tensor", clusters = { "count", 3 }, m = { "count", 4, least = 2 }, d = { "count", 4 },
    batches = "count?", iterations = { "count", 100 }, seed = { "integer", 1, least = 0 },
    epoch = { "count", 1 },
  })
  if o.labels:ndim() ~= 1 or o.labels:dtype() ~= "int64" then
    fail(WHERE, ("labels must be an int64 tensor [n], got %s [%s]"):format(o.labels:dtype(),
      table.concat(o.labels:shape(), ", ")))
  end
  local self = setmetatable({ seed = o.seed, epoch = o.epoch, batch = 0, refreshes = 0, _o = o,
    _label = o.labels:totable(), _loss = {} }, Index)
  local by, classes = {}, {}
  for row, label in ipairs(self._label) do
    if not by[label] then
      by[label] = { label = label, rows = {} }
      classes[#classes + 1] = by[label]
    end
    table.insert(by[label].rows, row)
    self._loss[row] = UNKNOWN
  end
  if #classes < 2 then
    fail(WHERE, ("needs rows of two classes or more, got %d"):format(#classes))
  end
  table.sort(classes, function(a, b) return a.label < b.label end)
  self._classes = classes
  self.batches = o.batches or (#self._label + o.m * o.d - 1) // (o.m * o.d)
  return self
end

-- ---- clusters -----------------------------------------------------------------------------------

-- The clusters by their centres [K D], and for each row the number of its own.
local function take_clusters(self, centres, own)
  self._centres, self._own, self._rows, self._sum = centres, own, {}, {}
  for c = 1, #centres do self._rows[c] = {} end
  for row, c in ipairs(own) do table.insert(self._rows[c], row) end
end

--- New clusters from z [n D], the embeddings of all rows as they are now.
function Index:refresh(z)
  options.check_value(WHERE .. ":refresh", "z", z, "tensor")
  if z:ndim() ~= 2 or z:size(1) ~= #self._label then
    fail(WHERE .. ":refresh", ("z must be [%d, D], a row for each label, got [%s]"):format(
      #self._label, table.concat(z:shape(), ", ")))
  end
  local _ <close> = crun.no_grad()
  local parts, own, count = {}, {}, 0
  for i, class in ipairs(self._classes) do
    local centres, assignment = crun.kmeans(z:index_select(crun.int(class.rows)), {
      clusters = math.min(self._o.clusters, #class.rows), iterations = self._o.iterations,
      seed = crun.rng(self.seed, WHERE .. ":refresh", self.refreshes << 32 | i):below(1 << 53),
    })
    -- clusters without rows (where rows are equal) are left out
    local place, kept = {}, {}
    for k, c in ipairs(assignment:totable()) do
      if not place[c] then
        kept[#kept + 1] = c
        place[c] = count + #kept
      end
      own[class.rows[k]] = place[c]
    end
    parts[i] = centres:index_select(crun.int(kept))
    count = count + #kept
  end
  self.refreshes = self.refreshes + 1
  take_clusters(self, crun.cat(parts, 1), own)
  return self
end

-- What each cluster weighs as a seed: the losses of its rows, added in their order.
local function weights(self)
  local known, n, sum, unknown = 0, 0, {}, {}
  for c, rows in ipairs(self._rows) do
    local entry = self._sum[c]
    if not entry then
      entry = { loss = 0, known = 0 }
      for _, row in ipairs(rows) do
        if self._loss[row] ~= UNKNOWN then
          entry.loss, entry.known = entry.loss + self._loss[row], entry.known + 1
        end
      end
      self._sum[c] = entry
    end
    sum[c], unknown[c] = entry.loss, #rows - entry.known
    known, n = known + entry.loss, n + entry.known
  end
  local mean, total = n > 0 and known / n or 1, 0
  for c = 1, #sum do
    sum[c] = sum[c] + mean * unknown[c]
    total = total + sum[c]
  end
  if total > 0 then return sum, total end
  for c, rows in ipairs(self._rows) do sum[c] = #rows end       -- no row has a loss above 0
  return sum, #self._label
end

local function draw(self)
  local rng = crun.rng(self.seed, WHERE, self.epoch << 32 | self.batch)
  local weight, total = weights(self)
  local left, seed = rng:uniform() * total, #weight
  for c = 1, #weight do
    left = left - weight[c]
    if left < 0 then
      seed = c
      break
    end
  end

  local impostors, label = {}, self._label[self._rows[seed][1]]
  local distance = crun.cdist(self._centres:narrow(1, seed, 1), self._centres)[1]:totable()
  for c, d in ipairs(distance) do
    if self._label[self._rows[c][1]] ~= label then impostors[#impostors + 1] = { d, c } end
  end
  table.sort(impostors, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  local clusters = { seed }
  for i = 1, math.min(self._o.m - 1, #impostors) do clusters[i + 1] = impostors[i][2] end

  local rows = {}
  for _, c in ipairs(clusters) do
    local all = table.move(self._rows[c], 1, #self._rows[c], 1, {})
    rng:shuffle(all)
    table.move(all, 1, math.min(self._o.d, #all), #rows + 1, rows)
  end
  return rows
end

--- What criterion(z, ...) wants for a batch: clusters int64 [B], numbered from 1 within the batch,
-- and the class of each, int64 [M].
function Index:clusters(rows)
  if not self._own then
    fail(WHERE .. ":clusters", "there are no clusters yet: call refresh(z) first")
  end
  local place, numbers, classes = {}, {}, {}
  for i, row in ipairs(rows:totable()) do
    local c = self._own[row]
    if not c then
      fail(WHERE .. ":clusters", ("rows must lie in 1 .. %d, got %d"):format(#self._own, row))
    end
    if not place[c] then
      classes[#classes + 1] = self._label[row]
      place[c] = #classes
    end
    numbers[i] = place[c]
  end
  return crun.int(numbers), crun.int(classes)
end

--- Notes the losses [B] of rows, as criterion with reduction = "none" gives them.
function Index:record(rows, losses)
  local where = WHERE .. ":record"
  options.check_value(where, "losses", losses, "tensor")
  if losses:ndim() ~= 1 or #losses ~= #rows then
    local text = "losses must be [%d], one for each row (reduction = \"none\"), got [%s]"
    fail(where, text:format(#rows, table.concat(losses:shape(), ", ")))
  end
  local value = losses:detach():totable()
  for i, row in ipairs(rows:totable()) do
    local v = value[i]
    self._loss[row] = v - v == 0 and math.max(v, 0) or UNKNOWN
    if self._own then self._sum[self._own[row]] = nil end
  end
end

-- ---- iterator and cursor ------------------------------------------------------------------------

function Index:__len() return self.batches end

--- The next batch of rows and its number in the epoch, or nil at the end of the epoch.
function Index:__call()
  if self.batch >= self.batches then
    self:start(self.epoch + 1)
    return nil
  end
  if not self._own then fail(WHERE, "there are no clusters yet: call refresh(z) first") end
  self.batch = self.batch + 1
  return crun.int(draw(self)), self.batch
end

function Index:start(epoch)
  self.epoch = options.check_value(WHERE, "epoch", epoch, { "count", self.epoch })
  self.batch = 0
  return self
end

--- The cursor, the clusters and the losses.
function Index:state()
  return {
    epoch = self.epoch, batch = self.batch, refreshes = self.refreshes,
    losses = crun.tensor(self._loss), centres = self._centres,
    own = self._own and crun.int(self._own),
  }
end

--- Goes where a state says; one of epoch and batch alone moves the cursor only.
function Index:load(state)
  local o = options.check(WHERE .. ":load", state, {
    epoch = "count", batch = { "integer", least = 0 }, refreshes = "integer?", losses = "tensor?",
    centres = "tensor?", own = "tensor?",
  })
  if o.losses and #o.losses ~= #self._label then
    fail(WHERE .. ":load", ("the state is of %d rows, here are %d"):format(#o.losses, #self._label))
  end
  self.epoch, self.batch = o.epoch, math.min(o.batch, self.batches)
  self.refreshes = o.refreshes or self.refreshes
  if o.losses then self._loss = o.losses:totable() end
  if o.own then take_clusters(self, o.centres:clone(), o.own:totable()) end
  return self
end

function Index:__close() end

function Index:__tostring()
  return ("%s: epoch %d, batch %d of %d, %d clusters, seed %d"):format(WHERE, self.epoch,
    self.batch, self.batches, self._rows and #self._rows or 0, self.seed)
end

return M
