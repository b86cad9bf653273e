--- What the scripts under experiments/ share: seeds, intervals, tables, training, small networks.
--
--     local study = require "crun.study"
--     local s = study.new { run = run, best = { ["map@r"] = "max", eer = "min" } }
--     for seed in study.seeds(cfg) do          -- cfg.seed, cfg.seed + 1, ...: cfg.seeds of them
--       s:add("triplet", { ["map@r"] = 0.81, eer = 0.04 })
--       s:add("softmax", { ["map@r"] = 0.79, eer = 0.05 })
--     end
--     s:print "20 new people"                  -- a table, mean ± half of the 95 % interval
--     local d = s:difference("triplet", "softmax", "map@r")
--     print(study.text(d), study.verdict(d))   -- paired by seed
--
-- Intervals are those of crun.stats: Student's t. With one value there is none.
--
-- @module crun.study
local crun = require "crun"
local options = require "crun.options"

local M = {}

local EXIT_DIVERGED <const> = 5

-- ---- intervals ----------------------------------------------------------------------------------

--- Mean and 95 % interval of a list of numbers: crun.stats.mean.
function M.interval(values) return crun.stats.mean(values) end

--- "0.812 ± 0.010", or "0.812" of a single value.
function M.text(interval, digits)
  local form = "%." .. (digits or 3) .. "f"
  local text = form:format(interval.mean)
  return interval.half and text .. " ± " .. form:format(interval.half) or text
end

--- What an interval of differences says: "better", "worse" (as high = "max" or "min" is good), or
-- "no difference shown" where it holds 0.
function M.verdict(d, goal)
  if not d.half or d.low <= 0 and d.high >= 0 then return "no difference shown" end
  return (d.mean > 0) == (goal ~= "min") and "better" or "worse"
end

--- The seeds of a study: cfg.seed, cfg.seed + 1, ...; cfg.seeds of them (2 when cfg.quick).
function M.seeds(cfg)
  local last = cfg.seed + (cfg.quick and math.min(2, cfg.seeds) or cfg.seeds) - 1
  local seed = cfg.seed - 1
  return function()
    seed = seed + 1
    return seed <= last and seed or nil
  end
end

-- ---- results by name and key --------------------------------------------------------------------

local Study = { __name = "crun.study" }
Study.__index = Study

--- A table of results to be. run: where results go too (run:summary), may be left out; best: key ->
-- "max" or "min"; digits (3).
function M.new(opts)
  local o = options.check("study.new", opts, { run = "any?", best = "table?",
    digits = { "count", 3 } })
  return setmetatable({ run = o.run, best = o.best or {}, digits = o.digits, names = {}, keys = {},
    values = {} }, Study)
end

--- One more value for each key under a name: s:add("triplet", { ["map@r"] = 0.81 }). keys may be
-- given as a list to say which of many count, in which order.
function Study:add(name, scores, keys)
  local own = self.values[name]
  if not own then
    own = {}
    self.values[name] = own
    self.names[#self.names + 1] = name
  end
  for _, key in ipairs(keys or options.sorted_keys(scores)) do
    local value = scores[key]
    if type(value) ~= "number" then value = value:item() end
    local known = false
    for _, k in ipairs(self.keys) do known = known or k == key end
    if not known then self.keys[#self.keys + 1] = key end
    own[key] = own[key] or {}
    table.insert(own[key], value)
  end
end

--- The interval of what was added under name and key.
function Study:interval(name, key)
  local list = (self.values[name] or {})[key]
  if not list then crun.fail("study", ("nothing was added under '%s', '%s'"):format(name, key)) end
  return M.interval(list)
end

function Study:mean(name, key) return self:interval(name, key).mean end

--- The interval of name - other, value by value in the order they were added: paired by seed.
function Study:difference(name, other, key)
  return crun.stats.paired(self.values[name][key], self.values[other][key])
end

--- The name with the best mean of a key.
function Study:winner(key)
  local best, at
  local sign = self.best[key] == "min" and -1 or 1
  for _, name in ipairs(self.names) do
    local v = self.values[name][key] and sign * self:mean(name, key)
    if v and (not best or v > best) then best, at = v, name end
  end
  return at, best and sign * best
end

--- Prints the table, a row a name and a column a key, and hands means and half widths to the run's
-- summary as "name/key" and "name/key ±". The best mean of a column is starred.
function Study:print(title, keys)
  keys = keys or self.keys
  local rows, summary = {}, {}
  local tops = {}
  for k, key in ipairs(keys) do tops[k] = self.best[key] and self:winner(key) end
  for i, name in ipairs(self.names) do
    rows[i] = { name }
    for k, key in ipairs(keys) do
      local text = "-"
      if self.values[name][key] then
        local v = self:interval(name, key)
        text = M.text(v, self.digits) .. (tops[k] == name and #self.names > 1 and " *" or "")
        summary[name .. "/" .. key] = v.mean
        if v.half then summary[name .. "/" .. key .. " ±"] = v.half end
      end
      rows[i][k + 1] = text
    end
  end
  if self.run then self.run:summary(summary) end
  print(crun.ui.table { columns = { title or "", table.unpack(keys) }, rows = rows })
end

--- A curve of plot.lines over the places x: means, with their 95 % intervals as a band. at(k) gives
-- the interval at x[k].
function M.curve(name, x, at)
  local curve = { name = name, x = x, y = {}, low = {}, high = {} }
  for k in ipairs(x) do
    local v = at(k)
    curve.y[k], curve.low[k], curve.high[k] = v.mean, v.low or v.mean, v.high or v.mean
  end
  return curve
end

-- ---- sequences of points ------------------------------------------------------------------------

--- Sequences of different lengths as sequences of `steps` points, evenly spaced in the order of
-- their points (straight lines between them): points [N T D], lengths int64 [N] -> [N steps 2], the
-- first two columns.
function M.resampled(points, lengths, steps)
  local N, T = points:size(1), points:size(2)
  local last = (lengths - 1):real():reshape(N, 1)
  local at = last * (crun.arange(0, steps - 1):real():reshape(1, steps) / math.max(1, steps - 1))
  local low = at:floor()
  local part = (at - low):reshape(N, steps, 1)
  local from = crun.arange(0, N - 1):reshape(N, 1) * T + 1
  local flat = points:narrow(3, 1, 2):contiguous():reshape(N * T, 2)
  local function pick(index)
    local rows = (index:minimum(last):int() + from):reshape(N * steps)
    return flat:index_select(rows):reshape(N, steps, 2)
  end
  return pick(low) * (1 - part) + pick(low + 1) * part
end

-- ---- networks and training ----------------------------------------------------------------------

--- Rows of a training set { images = }, changed at random as cfg.augment says; cfg.seed and the
-- step decide how. Its mean and std, where it has them, bring them to mean 0.
function M.changed(set, rows, cfg, step)
  local o = { mean = set.mean, std = set.std, seed = cfg.seed, epoch = step }
  for name, value in pairs(cfg.augment) do o[name] = value end
  return crun.data.augment(set.images, rows, o)
end

--- A small convolutional network: blocks of 3 x 3 convolution, batch norm, ReLU and pooling by 2,
-- then a linear layer to the embedding, its rows of length 1 unless normalize = false. opts:
-- channels (1), size (of the square images), widths ({ 32, 64 }), embedding (64), normalize (true).
function M.convnet(opts)
  local nn = crun.nn
  local o = options.check("study.convnet", opts, { channels = { "count", 1 }, size = "count",
    widths = { "numbers", { 32, 64 } }, embedding = { "count", 64 },
    normalize = { "boolean", true } })
  local layers, channels, side = {}, o.channels, o.size
  for _, width in ipairs(o.widths) do
    for _, layer in ipairs { nn.Conv2d(channels, width, 3, { padding = 1, bias = false }),
                             nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2) } do
      layers[#layers + 1] = layer
    end
    channels, side = width, side // 2
  end
  layers[#layers + 1] = nn.Flatten()
  layers[#layers + 1] = nn.Linear(channels * side * side, o.embedding)
  if o.normalize then layers[#layers + 1] = nn.Normalize() end
  return nn.Sequential(layers)
end

--- Trains by Adam with warm-up and a cosine to 0.
--
--     study.fit { modules = net, steps = 500, lr = 1e-3, loss = function(step) ... end }
--
-- modules: what is trained: a module, a criterion with weights, or a list of them. loss: a function
-- of the step (from 1) that gives the loss; or of (step, batch) with batches, a sampler, which then
-- goes round as often as needed. warmup (a twentieth of the steps), weight_decay (0), clip (none:
-- the largest common norm of the gradients); every: a function(step) called after each `interval`
-- steps. run, name: logs "name/loss". Returns the mean loss of the last tenth.
function M.fit(opts)
  local o = options.check("study.fit", opts, {
    modules = "any", steps = "count", lr = "number", loss = "callable", batches = "any?",
    warmup = "integer?", weight_decay = { "number", 0 }, clip = "number?", run = "any?",
    name = { "string", "train" },
    every = "callable?", interval = { "count", 100 },
  })
  local opt = crun.optim.Adam(o.modules, { lr = o.lr, weight_decay = o.weight_decay })
  local lr = crun.schedule.drive(opt, "lr", crun.schedule.warmup_then_cosine { base = o.lr,
    warmup = o.warmup or math.max(1, o.steps // 20), steps = o.steps })
  local function next_batch()
    if not o.batches then return nil end
    return o.batches() or o.batches()                    -- nil once: the end of an epoch
  end
  local tail, count = 0, 0
  for step = 1, o.steps do
    if o.run then o.run:poll() end                       -- Ctrl-C is heeded here
    lr:at(step - 1)
    local loss = o.loss(step, next_batch())
    opt:zero_grad()
    loss:backward()
    if o.clip then opt:clip_grad_norm(o.clip) end
    opt:step()
    if step % 20 == 0 and loss:item() ~= loss:item() then
      local text = "%s: the loss is nan at step %d; a smaller lr?"
      crun.fail("study.fit", text:format(o.name, step), EXIT_DIVERGED)
    end
    if step > o.steps - math.max(1, o.steps // 10) then
      tail, count = tail + loss:item(), count + 1
    end
    if o.every and step % o.interval == 0 then o.every(step) end
  end
  if o.run then o.run:log { [o.name .. "/loss"] = tail / count } end
  return tail / count
end

return M
