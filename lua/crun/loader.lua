--- loader.lua - batches of images, changed at random on threads ahead of the training step
--
--     local loader = crun.loader { images = train.images, sampler = batches,
--                                  augment = { flip = 0.5, shift = 0.05, seed = cfg.seed } }
--     for epoch in run:epochs(20) do
--       for x, rows in run:steps(loader) do
--         local y = train.labels:index_select(rows, 1)
--
-- x is what crun.data.augment(images, rows, { ..., epoch = the sampler's epoch }) gives, bit for
-- bit, whatever the number of workers: random numbers hang on the row and the epoch. A row that
-- comes several times in a batch (sampler.views) is changed each time anew: the k-th time it counts
-- as sample row + (k - 1) N of N images. While a step
-- runs, workers make the batches that the sampler will give next; the sampler itself only moves
-- when a batch is handed out, so its cursor in a checkpoint is the place of the training, and the
-- loader goes on wherever it is put. For run:steps and run:checkpoint a loader is as good as its
-- sampler.
local crun = require "crun"
local options = require "crun.options"

local Loader = { __name = "crun.loader" }
Loader.__index = Loader

-- A sampler of the same batches with a cursor of its own.
local function twin(sampler)
  local copy = {}
  for key, value in pairs(sampler) do copy[key] = value end
  setmetatable(copy, getmetatable(sampler))
  return copy:load(sampler:state())
end

-- Forgets what was made ahead and begins at the sampler's cursor.
local function begin(self)
  self.core:clear()
  self.ahead, self.queue = twin(self.sampler), {}
  self.place = self.sampler:state()
end

-- What the random numbers of the rows hang on, nil where that is the rows.
local function samples_of(rows, n)
  local list, times, again = rows:totable(), {}, false
  for i, row in ipairs(list) do
    local before = times[row] or 0
    times[row], list[i] = before + 1, row + before * n
    again = again or before > 0
  end
  return again and crun.int(list) or nil
end

-- Asks the workers for the batches that come next, over the end of an epoch too.
local function fill(self)
  while #self.queue < self.batches do
    local epoch = self.ahead:state().epoch
    local rows, batch = self.ahead()
    if rows then
      self.core:put(rows, epoch, samples_of(rows, self.n))
      self.queue[#self.queue + 1] = { rows = rows, epoch = epoch, batch = batch }
    elseif #self.ahead == 0 then
      return
    end
  end
end

--- The next batch: x real [B C h w], rows int64 [B] and its number in the epoch, or nil at the end
-- of the epoch.
function Loader:__call()
  local cursor = self.sampler:state()
  if not self.place or cursor.epoch ~= self.place.epoch or cursor.batch ~= self.place.batch then
    begin(self)
  end
  if cursor.batch >= #self.sampler then                    -- the sampler ends its epoch itself
    self.sampler()
    self.place = self.sampler:state()
    return nil
  end
  self.began = self.began or crun.io.monotonic()
  fill(self)
  local x, seconds = self.core:take()
  local made = table.remove(self.queue, 1)
  self.waited = self.waited + seconds
  fill(self)
  self.place = { epoch = made.epoch, batch = made.batch }
  self.sampler:load(self.place)
  return x, made.rows, made.batch
end

--- Seconds spent waiting for data since the first batch, and their share of all the time since.
function Loader:waiting()
  local all = self.began and crun.io.monotonic() - self.began or 0
  return self.waited, all > 0 and self.waited / all or 0
end

--- The sampler's: batches of an epoch, cursor, beginning of an epoch.
function Loader:__len() return #self.sampler end
function Loader:state() return self.sampler:state() end
function Loader:load(state) self.sampler:load(state) return self end
function Loader:start(epoch) self.sampler:start(epoch) return self end

--- Ends the workers; also by `local loader <close> = ...` and when it is collected.
function Loader:close() self.core:close() end
function Loader:__close() self.core:close() end

function Loader:__tostring()
  return ("loader of %s, %d ahead"):format(tostring(self.sampler), self.batches)
end

-- height and width of a size, a number or { height, width }
local function sides(where, size)
  if type(size) ~= "table" then size = { size, size } end
  return options.check_value(where, "the height", size[1], "count"),
    options.check_value(where, "the width", size[2], "count")
end

--- crun.loader { images =, sampler = [, augment =, workers =, ahead =] }. images: uint8 [N C H W];
-- or files: N paths of JPEG files, and size (64; or { height, width }): workers then read, decode
-- and resize them too, to the bytes that crun.imagefolder gives, for sets larger than memory.
-- sampler: one of crun.sampler, whose batches follow from seed and epoch; augment: the options of
-- crun.data.augment without epoch, {} for the bytes as 0 .. 1; workers: threads (1; 0: made when
-- asked for); ahead: batches made ahead (2).
return function(opts)
  local where = "loader"
  local o = options.check(where, opts, {
    images = "tensor?", files = "table?", size = "any?", sampler = "any", augment = { "table", {} },
    workers = { "integer", 1, least = 0, most = 16 }, ahead = { "count", 2, most = 63 },
  })
  if options.kind(o.sampler) ~= "sampler" then
    crun.fail(where, "sampler must be one of crun.sampler, got " .. options.say(o.sampler))
  end
  if not rawget(o.sampler, "_plan") then
    crun.fail(where, "the batches of this sampler hang on what was learnt, so none can be made ahead")
  end
  if o.augment.epoch ~= nil then
    crun.fail(where, "augment takes no epoch: it is the sampler's")
  end
  if (o.images == nil) == (o.files == nil) then crun.fail(where, "takes images or files, one of them") end
  if o.files and #o.files == 0 then crun.fail(where, "files is empty") end
  if o.size and not o.files then crun.fail(where, "size goes with files; images have theirs") end
  local images = o.images
  if o.files then
    local height, width = sides(where, o.size or 64)
    images = crun.zeros(1, 1, height, width):byte()
  end
  if images:ndim() == 4 and #images > 0 then                -- one message for wrong options
    crun.data.augment(images:narrow(1, 1, 1), crun.int { 1 }, o.augment)
  end
  local core = crun.loader.open(images, o.augment, o.workers, o.ahead + 1, o.files)
  return setmetatable({ core = core, sampler = o.sampler, batches = o.ahead + 1, waited = 0,
    n = #(o.files or o.images), queue = {} }, Loader)
end
