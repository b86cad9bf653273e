--- Schedules: a number as a pure function of the step.
--
-- `local lr = schedule.cosine { base = 0.1, steps = 1000 }` is a function: `lr(t)` is the value for
-- the update that comes after t updates have been made, t = 0, 1, 2, ... Nothing is stored, so a
-- resumed run needs only its step. Any number in any object can follow a schedule, a learning rate
-- or a margin alike:
--
--     local drive = schedule.drive(opt, "lr", schedule.cosine { base = 0.1, steps = 1000 })
--       + schedule.drive(criterion, "margin", schedule.linear { from = 0, to = 0.4, steps = 500 })
--     for step = 0, 999 do drive:at(step) ... end
--
-- The values agree with torch.optim.lr_scheduler where it has the schedule.
--
-- @module crun.schedule
local crun = require "crun"
local options = require "crun.options"

local M = {}

local positive = { "number", above = 0 }
local steps = "count"

local function define(name, spec, build)
  M[name] = function(opts) return build(options.check("schedule." .. name, opts, spec)) end
end

--- v(t) = base
define("constant", { base = "number" }, function(o)
  return function() return o.base end
end)

--- A straight line, then flat: from + (to - from) min(t, steps) / steps
define("linear", { from = "number", to = "number", steps = steps }, function(o)
  return function(t) return o.from + (o.to - o.from) * math.min(t, o.steps) / o.steps end
end)

--- base times a factor that climbs from `start` to 1 over `steps`, then base.
define("linear_warmup",
  { base = "number", steps = steps, start = { "number", 0.1, least = 0, most = 1 } }, function(o)
  return M.linear { from = o.base * o.start, to = o.base, steps = o.steps }
end)

--- base times a factor that falls from 1 to `stop` over `steps`, then stays.
define("linear_decay", { base = "number", steps = steps, stop = { "number", 0, least = 0 } },
  function(o)
  return M.linear { from = o.base, to = o.base * o.stop, steps = o.steps }
end)

--- base gamma^floor(t / every)
define("step", { base = "number", every = steps, gamma = { "number", 0.1, above = 0 } }, function(o)
  return function(t) return o.base * o.gamma ^ (t // o.every) end
end)

--- base gamma^(number of milestones <= t)
define("multistep", { base = "number", milestones = "numbers",
  gamma = { "number", 0.1, above = 0 } }, function(o)
  return function(t)
    local passed = 0
    for _, milestone in ipairs(o.milestones) do
      if t >= milestone then passed = passed + 1 end
    end
    return o.base * o.gamma ^ passed
  end
end)

--- base gamma^t
define("exponential", { base = "number", gamma = positive }, function(o)
  return function(t) return o.base * o.gamma ^ t end
end)

--- Half a cosine: min + (base - min) (1 + cos(pi t / steps)) / 2.
-- Past `steps` it rises again as the formula says; hold = true keeps it at min.
-- Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, eq. 5.
define("cosine", { base = "number", steps = steps, min = { "number", 0 },
  hold = { "boolean", false } }, function(o)
  return function(t)
    if o.hold then t = math.min(t, o.steps) end
    return o.min + (o.base - o.min) * (1 + math.cos(math.pi * t / o.steps)) / 2
  end
end)

--- Cosine periods that start again at base; period k lasts steps * mult^k. Same paper.
define("cosine_warm_restarts",
  { base = "number", steps = steps, mult = { "count", 1 }, min = { "number", 0 } }, function(o)
  return function(t)
    local period = o.steps
    if o.mult == 1 then
      t = t % period
    else
      while t >= period do t, period = t - period, period * o.mult end
    end
    return o.min + (o.base - o.min) * (1 + math.cos(math.pi * t / period)) / 2
  end
end)

--- Up and down once. From max / div up to max during the first pct of `steps`, down to max / div /
-- final_div at the last step (three_phase: back to max / div in as long as the way up, then down).
-- anneal: "cos" or "linear". Other quantities follow the same clock when the three values are
-- given: { start = 0.95, max = 0.85, final = 0.95 } is the momentum that goes with it. Asking past
-- `steps` - 1 gives the last value.
-- Smith, Topin, "Super-convergence", 2019.
define("one_cycle", {
  max = "number", steps = { "count", least = 2 }, pct = { "number", 0.3, above = 0, most = 1 },
  div = { "number", 25, above = 0 }, final_div = { "number", 1e4, above = 0 },
  start = "number?", final = "number?", three_phase = { "boolean", false },
  anneal = { "string", "cos", choices = { "cos", "linear" } },
}, function(o)
  local start = o.start or o.max / o.div
  local final = o.final or start / o.final_div
  local peak = o.pct * o.steps - 1
  -- knots: { step, value }
  local knots = { { 0, start }, { peak, o.max } }
  if o.three_phase then knots[3] = { 2 * o.pct * o.steps - 2, start } end
  knots[#knots + 1] = { o.steps - 1, final }
  return function(t)
    for i = 2, #knots do
      local t0, v0, t1, v1 = knots[i - 1][1], knots[i - 1][2], knots[i][1], knots[i][2]
      if t <= t1 or i == #knots then
        local part = t1 > t0 and math.min((t - t0) / (t1 - t0), 1) or 1
        if o.anneal == "cos" then part = (1 - math.cos(math.pi * part)) / 2 end
        return v0 + (v1 - v0) * part
      end
    end
  end
end)

--- base (1 - min(t, steps) / steps)^power
define("polynomial", { base = "number", steps = steps, power = { "number", 1, above = 0 } },
  function(o)
  return function(t) return o.base * (1 - math.min(t, o.steps) / o.steps) ^ o.power end
end)

--- base min((t + 1) / warmup, sqrt(warmup / (t + 1))).
-- Vaswani et al., "Attention is all you need", NeurIPS 2017, sec. 5.3, scaled so that the top is
-- base.
define("inverse_sqrt_warmup", { base = "number", warmup = steps }, function(o)
  return function(t) return o.base * math.min((t + 1) / o.warmup, math.sqrt(o.warmup / (t + 1))) end
end)

--- Saw teeth between base and max: `up` steps up, `down` steps down (as many as up when left out).
-- Smith, "Cyclical learning rates for training neural networks", WACV 2017.
define("triangular", { base = "number", max = "number", up = steps, down = "count?" }, function(o)
  local down = o.down or o.up
  return function(t)
    local at = t % (o.up + down)
    local part = at <= o.up and at / o.up or (o.up + down - at) / down
    return o.base + (o.max - o.base) * part
  end
end)

--- linear_warmup for `warmup` steps, then a cosine that ends at `steps` in all.
define("warmup_then_cosine", {
  base = "number", warmup = steps, steps = steps, start = { "number", 0.1, least = 0, most = 1 },
  min = { "number", 0 }, hold = { "boolean", true },
}, function(o)
  if o.steps <= o.warmup then
    crun.fail("schedule.warmup_then_cosine",
      ("steps counts the warm-up too: it must be more than warmup = %d, got %d"):format(o.warmup,
        o.steps))
  end
  return M.chain {
    { o.warmup, M.linear_warmup { base = o.base, steps = o.warmup, start = o.start } },
    { M.cosine { base = o.base, steps = o.steps - o.warmup, min = o.min, hold = o.hold } },
  }
end)

--- One schedule after another: chain { { 100, warmup }, { 900, cosine }, { constant } }.
-- Each part sees steps that start at 0; the last has no length.
function M.chain(parts)
  local where = "schedule.chain"
  if type(parts) ~= "table" or #parts == 0 then
    crun.fail(where, "needs parts { steps, schedule }")
  end
  for i, part in ipairs(parts) do
    local last = i == #parts
    local fits = type(part) == "table" and (last and #part == 1 or #part == 2)
    if not fits then
      crun.fail(where, ("part %d must be %s"):format(i, last and "{ schedule }" or
        "{ steps, schedule }"))
    end
    if #part == 2 then
      options.check_value(where, ("the length of part %d"):format(i), part[1], "count")
    end
    options.check_value(where, ("the schedule of part %d"):format(i), part[#part], "callable")
  end
  return function(t)
    for i = 1, #parts - 1 do
      local length, part = parts[i][1], parts[i][2]
      if t < length then return part(t) end
      t = t - length
    end
    return parts[#parts][#parts[#parts]](t)
  end
end

--- factor times a schedule: a second learning rate on the same clock.
function M.scale(factor, schedule)
  options.check_value("schedule.scale", "factor", factor, "number")
  options.check_value("schedule.scale", "schedule", schedule, "callable")
  return function(t) return factor * schedule(t) end
end

-- ---- what needs memory --------------------------------------------------------------------------

local Plateau = { __name = "crun.plateau" }
Plateau.__index = Plateau

--- Lowers its value when a metric stops getting better; the one schedule that is not a function of
-- the step. `plateau:report(metric)` after each epoch; `plateau()` or `plateau.value` is the value
-- now, so it can be driven like any other schedule. mode "min" or "max"; better means by more than
-- `threshold`, relative ("rel") or absolute ("abs"). After more than `patience` reports without
-- improvement the value becomes max(value * factor, min), and `cooldown` reports are not counted. A
-- change of at most eps is not made. Torch's ReduceLROnPlateau, report by report.
function M.reduce_on_plateau(opts)
  local o = options.check("schedule.reduce_on_plateau", opts, {
    base = "number", factor = { "number", 0.1, above = 0, most = 1 },
    patience = { "integer", 10, least = 0 },
    mode = { "string", "min", choices = { "min", "max" } },
    threshold = { "number", 1e-4, least = 0 },
    threshold_mode = { "string", "rel", choices = { "rel", "abs" } },
    cooldown = { "integer", 0, least = 0 },
    min = { "number", 0 }, eps = { "number", 1e-8, least = 0 },
  })
  return setmetatable({ options = o, value = o.base, best = nil, bad = 0, cooling = 0 }, Plateau)
end

function Plateau:__call() return self.value end

function Plateau:report(metric)
  options.check_value("schedule.reduce_on_plateau", "the reported metric", metric, "number")
  local o, best = self.options, self.best
  local better
  if best == nil then
    better = true
  else
    local sign = o.mode == "min" and -1 or 1
    local step = o.threshold_mode == "rel" and o.threshold * best or o.threshold
    local bar = best + sign * step
    better = o.mode == "min" and metric < bar or o.mode == "max" and metric > bar
  end
  if better then self.best, self.bad = metric, 0 else self.bad = self.bad + 1 end
  if self.cooling > 0 then self.cooling, self.bad = self.cooling - 1, 0 end
  if self.bad > o.patience then
    local lower = math.max(self.value * o.factor, o.min)
    if self.value - lower > o.eps then self.value = lower end
    self.cooling, self.bad = o.cooldown, 0
  end
  return self.value
end

--- What a checkpoint keeps: four numbers (best is absent before the first report).
function Plateau:state()
  return { value = self.value, best = self.best, bad = self.bad, cooling = self.cooling }
end

function Plateau:load(state)
  for _, name in ipairs { "value", "bad", "cooling" } do
    options.check_value("schedule.reduce_on_plateau", "state." .. name, state[name], "number")
  end
  self.value, self.best, self.bad, self.cooling = state.value, state.best, state.bad, state.cooling
end

-- ---- driving a number ---------------------------------------------------------------------------

local Drive = { __name = "crun.drive" }
Drive.__index = Drive

--- Lets object[key] follow a schedule. The object is anything with a number in it: an optimiser,
-- one of its groups, a criterion, a miner, a plain table. drive:at(step) sets it and returns the
-- value; d1 + d2 drives both.
function M.drive(object, key, schedule)
  local where = "schedule.drive"
  if type(object) ~= "table" and type(object) ~= "userdata" then
    crun.fail(where, "the first argument must be an object with numbers in it, got " ..
      options.say(object))
  end
  options.check_value(where, "the key", key, "string")
  options.check_value(where, "the schedule", schedule, "callable")
  if type(object[key]) ~= "number" then
    crun.fail(where, ("%s is not a number of that object: it holds %s"):format(key,
      options.say(object[key])))
  end
  return setmetatable({ { object = object, key = key, schedule = schedule } }, Drive)
end

function Drive.__add(a, b)
  local both = {}
  for _, drive in ipairs { a, b } do table.move(drive, 1, #drive, #both + 1, both) end
  return setmetatable(both, Drive)
end

--- Sets every driven number for this step (0 for the first); returns the values in order.
function Drive:at(step)
  local values = {}
  for i, d in ipairs(self) do
    values[i] = d.schedule(step)
    d.object[d.key] = values[i]
  end
  return table.unpack(values)
end

return M
