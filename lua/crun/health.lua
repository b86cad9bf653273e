--- health.lua - collapse watch: what a run logs anyway, read for signs that it learns nothing
--
-- Every run:log passes its numbers through a watch, which costs no further pass over data. It knows
-- these names, under any prefix ("train/loss"):
--
--   loss                      pinned at the margin, or standing still
--   active                    share of active triplets or pairs: none for a while
--   positive, negative        mean distances of pairs: all at one point
--   gradient                  norm of the gradient: exploding, zero, not finite
--   rank, spread              of validation embeddings (health.embedding): falling
--
-- Each kind of trouble is said once a run, with what usually helps, and kept in run.json under
-- `warnings` as { kind, step, text, help }; compare and report show them. A resumed run reads its
-- log back first, so it warns as an undisturbed one would.
--
-- @module crun.health
local crun = require "crun"
local options = require "crun.options"
local cio = crun.io

local M = {}

-- how many values in a row are looked at
local LOSS_STEPS <const>, IDLE_STEPS <const>, GRADIENT_STEPS <const> = 40, 40, 20
local EXPLODING <const> = 1000                      -- times the median of the steps before

local HELP <const> = {
  margin = "mine softer triplets (semihard, all) at first, for hard ones from a random start do " ..
    "this; lower the learning rate; normalise embeddings",
  still = "embeddings may have collapsed, or the learning rate is 0: lower the learning rate or " ..
    "temperature, check that gradients reach the network",
  active = "raise the margin, mine harder triplets, put more classes into a batch; or stop here: " ..
    "the training set is learnt",
  point = "all embeddings lie at one point: lower the learning rate, mine softer, normalise " ..
    "embeddings",
  gradient_zero = "nothing reaches the weights: look for frozen layers, dead ReLUs, a loss with " ..
    "nothing active",
  gradient_exploding = "lower the learning rate, clip gradients (optim.clip), warm up",
  rank = "dimensions collapse: add a term that spreads embeddings (uniformity, VICReg's " ..
    "variance), lower the learning rate, or use fewer dimensions",
  spread = "embeddings draw together: lower the learning rate, mine softer, add a uniformity term",
}

-- ---- rules --------------------------------------------------------------------------------------

local function text_of(x) return ("%.3g"):format(x) end

-- the last n values of a list that is kept short
local function push(list, value, n)
  list[#list + 1] = value
  if #list > n then table.remove(list, 1) end
  return #list == n
end

local function range(list)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(list) do low, high = math.min(low, v), math.max(high, v) end
  return low, high
end

local rules = {}

function rules.loss(w, name, value)
  local list = w:values(name)
  if not push(list, value, LOSS_STEPS) then return end
  local low, high = range(list)
  if high <= 0 and low >= 0 then
    -- a loss of exactly 0 is told by `active` where there is one
    if not w.has_active then
      w:warn("active", ("%s has been 0 for %d steps: there is nothing to learn from"):format(name,
        LOSS_STEPS), HELP.active)
    end
    return
  end
  local size = math.max(math.abs(low), math.abs(high))
  if w.margin and w.margin > 0 and math.max(high - w.margin, w.margin - low) <= 0.01 * w.margin then
    w:warn("margin", ("%s has been pinned at the margin %s for %d steps: the embeddings of all " ..
      "classes lie together"):format(name, text_of(w.margin), LOSS_STEPS), HELP.margin)
  elseif high - low <= 1e-4 * size then
    w:warn("still", ("%s has stood at %s for %d steps, whatever the batch"):format(name,
      text_of(value), LOSS_STEPS), HELP.still)
  end
end

function rules.active(w, name, value)
  w.has_active = true
  if not push(w:values(name), value, IDLE_STEPS) then return end
  local _, high = range(w:values(name))
  if high <= 0 then
    w:warn("active", ("%s: no triplet or pair has been active for %d steps"):format(name,
      IDLE_STEPS), HELP.active)
  end
end

function rules.negative(w, name, value)
  if not push(w:values(name), value, IDLE_STEPS) then return end
  local low, high = range(w:values(name))
  if low >= 0 and high < 1e-3 then
    w:warn("point", ("%s: even pairs of different classes are %s apart at most, for %d steps")
      :format(name, text_of(high), IDLE_STEPS), HELP.point)
  end
end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

function rules.gradient(w, name, value)
  local list = w:values(name)
  local run = w:values(name .. " run")                -- how long: zero, exploding
  run.zero = value == 0 and (run.zero or 0) + 1 or 0
  if value ~= value or value == math.huge then
    return w:warn("gradient_exploding", ("%s is not finite"):format(name), HELP.gradient_exploding)
  end
  if run.zero == GRADIENT_STEPS then
    w:warn("gradient_zero", ("%s has been 0 for %d steps"):format(name, GRADIENT_STEPS),
      HELP.gradient_zero)
  end
  local usual = #list == 50 and median(list)
  if usual and usual > 0 and value > EXPLODING * usual then
    run.high = (run.high or 0) + 1
    if run.high == 3 then
      w:warn("gradient_exploding", ("%s is %s, usually it was %s"):format(name, text_of(value),
        text_of(usual)), HELP.gradient_exploding)
    end
    return                                           -- what explodes does not become usual
  end
  run.high = 0
  push(list, value, 50)
end

-- Of values logged now and then: the latest against the highest so far.
local function falling(kind, floor, share, words)
  return function(w, name, value)
    local seen = w:values(name)
    local highest = math.max(seen.highest or value, value)
    seen.highest, seen.n = highest, (seen.n or 0) + 1
    if value < floor or seen.n > 1 and value < share * highest then
      w:warn(kind, ("%s has fallen to %s%s: %s"):format(name, text_of(value), value < highest and
        ", it was " .. text_of(highest) or "", words), HELP[kind])
    end
  end
end
rules.rank = falling("rank", 1.5, 0.25, "embeddings fill few dimensions")
rules.spread = falling("spread", 1e-3, 0.1, "embeddings draw together")

local ALSO <const> = { gradient_norm = "gradient", grad_norm = "gradient", effective_rank = "rank",
  distance_negative = "negative", negative_distance = "negative" }

-- ---- the watch ----------------------------------------------------------------------------------

local Watch = { __name = "crun.health.watch" }
Watch.__index = Watch

function Watch:values(name)
  self.seen[name] = self.seen[name] or {}
  return self.seen[name]
end

function Watch:warn(kind, text, help)
  if self.said[kind] then return end
  local warning = { kind = kind, step = self.step, text = text, help = help }
  self.said[kind] = warning
  self.warnings[#self.warnings + 1] = warning
  if self.on_warning then self.on_warning(warning) end
end

--- Looks at what was logged at a step: a table of numbers by name.
function Watch:log(numbers, step)
  self.step = step
  for _, name in ipairs(options.sorted_keys(numbers)) do
    local last = name:match "[^/]*$"
    local rule = rules[ALSO[last] or last]
    local value = numbers[name]
    if rule and type(value) == "number" and (value == value or rule == rules.gradient) then
      rule(self, name, value)
    end
  end
end

--- A watch by itself. opts: margin, that of the loss; on_warning, a function of each new warning.
-- watch:log({ loss =, active =, ... }, step) feeds it, watch.warnings is what it found.
function M.new(opts)
  local o = options.check("health.new", opts, { margin = "number?", on_warning = "callable?" })
  return setmetatable({ margin = o.margin, on_warning = o.on_warning, seen = {}, said = {},
    warnings = {}, step = 0 }, Watch)
end

-- the numbers of a line of metrics.jsonl
local NOT_VALUES <const> = { step = true, s = true, epoch = true, e = true, time = true, t = true }
local WORDS <const> = { NaN = 0 / 0, Infinity = math.huge, ["-Infinity"] = -math.huge }

local function replay(watch, path)
  if not cio.exists(path) then return end
  for line in cio.read_file(path):gmatch "([^\n]*)\n" do
    local ok, record = pcall(cio.json_decode, line)
    if ok and type(record) == "table" then
      local numbers = {}
      for key, value in pairs(record) do
        if not NOT_VALUES[key] then numbers[key] = WORDS[value] or value end
      end
      watch:log(numbers, record.step or record.s or 0)
    end
  end
end

local function margin_of(settings)
  local loss = type(settings) == "table" and settings.loss
  local margin = type(loss) == "table" and loss.margin or type(settings) == "table" and
    (settings["loss.margin"] or settings.margin)
  return type(margin) == "number" and margin or nil
end

local function read_json(path)
  local ok, value = pcall(function() return cio.json_decode(cio.read_file(path)) end)
  return ok and type(value) == "table" and value or {}
end

--- The watch of a run, fed by run:log: it keeps its warnings in run.record.warnings, writes
-- run.json and says each once. Of a resumed run the log so far is read back in silence.
function M.watch(run)
  local watch = M.new { margin = margin_of(read_json(run.path .. "/config.json").settings) }
  replay(watch, run.path .. "/metrics.jsonl")
  -- what an earlier session warned of after its last checkpoint comes again where it came then
  run.record.warnings = cio.json_array(watch.warnings)
  watch.on_warning = function(warning)
    run:write_record()
    if require("crun.progress").kind() ~= "none" then
      if run.bar then run.bar:clear() end
      io.stderr:write(("warning: step %d: %s; what usually helps: %s\n"):format(warning.step,
        warning.text, warning.help))
    end
  end
  return watch
end

--- The warnings of a run folder from its log alone: what the watch of that run would have said.
function M.review(path)
  local watch = M.new { margin = margin_of(read_json(path .. "/config.json").settings) }
  replay(watch, path .. "/metrics.jsonl")
  return watch.warnings
end

-- ---- embeddings ---------------------------------------------------------------------------------

--- How much room embeddings [N, D] fill: { rank, spread }.
--
--   rank    exp(H(p)), p = eigenvalues of the covariance / their sum: 1 on a line, D in a ball
--   spread  sqrt(mean |z - mean z|^2 / mean |z|^2): 0 at one point, 1 around the origin
--
-- Roy, Vetterli, "The effective rank", EUSIPCO 2007. For run:log(health.embedding(z), "val/") with
-- embeddings that were computed for scores anyway: D^3 operations, at most 2000 rows are taken.
function M.embedding(z)
  local where = "health.embedding"
  options.check_value(where, "embeddings", z, "tensor")
  if z:ndim() ~= 2 or z:size(1) < 2 then
    crun.fail(where, "embeddings must be [N, D] with N of 2 or more")
  end
  local _ <close> = crun.no_grad()
  if z:size(1) > 2000 then
    z = z:index_select(crun.arange(1, z:size(1), z:size(1) // 2000):narrow(1, 1, 2000), 1)
  end
  local n = z:size(1)
  local centred = z - z:mean(1):reshape(1, z:size(2))
  local square = centred:square():sum():item()
  local spread = math.sqrt(square / math.max(z:square():sum():item(), 1e-300))
  if square <= 0 then return { rank = 1.0, spread = 0.0 } end
  local small = n < z:size(2) and centred:matmul(centred:t()) or centred:t():matmul(centred)
  local values = crun.eigh(small / square)
  local entropy = 0.0
  for _, value in ipairs(values:totable()) do
    if value > 0 then entropy = entropy - value * math.log(value) end
  end
  return { rank = math.exp(entropy), spread = spread }
end

return M
