local crun = require "crun"
local schedule = crun.schedule

local function at(f, ...)
  local values = {}
  for i, t in ipairs { ... } do values[i] = f(t) end
  return values
end

local function near(want, got)
  assert.equal(#want, #got)
  for i = 1, #want do assert.near(want[i], got[i], 1e-12) end
end

describe("a schedule", function()
  it("is worked by hand", function()
    near({ 0.1, 0.1 }, at(schedule.constant { base = 0.1 }, 0, 999))
    near({ 0, 0.5, 1, 1 }, at(schedule.linear { from = 0, to = 1, steps = 10 }, 0, 5, 10, 20))
    near({ 0.2, 0.6, 1, 1 }, at(schedule.linear_warmup { base = 1, steps = 4, start = 0.2 }, 0, 2,
      4, 9))
    near({ 1, 0.5, 0 }, at(schedule.linear_decay { base = 1, steps = 4 }, 0, 2, 4))
    near({ 8, 8, 4, 2 }, at(schedule.step { base = 8, every = 10, gamma = 0.5 }, 0, 9, 10, 29))
    near({ 8, 4, 4, 2 }, at(schedule.multistep { base = 8, milestones = { 3, 7 }, gamma = 0.5 }, 2,
      3, 6, 7))
    near({ 1, 0.81 }, at(schedule.exponential { base = 1, gamma = 0.9 }, 0, 2))
    near({ 1, 0.5, 0, 0.5 }, at(schedule.cosine { base = 1, steps = 4 }, 0, 2, 4, 6))
    near({ 0.1, 0.1 }, at(schedule.cosine { base = 1, steps = 4, min = 0.1, hold = true }, 4, 6))
    near({ 1, 0.5, 1, 0.5, 1 }, at(schedule.cosine_warm_restarts { base = 1, steps = 2, mult = 2 },
      0, 1, 2, 4, 6))
    near({ 1, 0.25, 0 }, at(schedule.polynomial { base = 1, steps = 4, power = 2 }, 0, 2, 5))
    near({ 0.25, 1, 0.5 }, at(schedule.inverse_sqrt_warmup { base = 1, warmup = 4 }, 0, 3, 15))
    near({ 1, 3, 2, 1 }, at(schedule.triangular { base = 1, max = 3, up = 2, down = 4 }, 0, 2, 4,
      6))
    near({ 0.5, 1, 0.5, 0, 0 },
      at(schedule.warmup_then_cosine { base = 1, warmup = 2, steps = 6, start = 0.5 }, 0, 2, 4, 6,
        9))
    near({ 0.04, 1, 0.0004 },
      at(schedule.one_cycle { max = 1, steps = 11, pct = 0.5, final_div = 100, anneal = "linear" },
      0, 4.5, 10))
  end)
  it("may follow another", function()
    local f = schedule.chain {
      { 2, schedule.constant { base = 5 } }, { 3, schedule.linear { from = 0, to = 3, steps = 3 } },
      { schedule.scale(10, schedule.constant { base = 2 }) },
    }
    near({ 5, 5, 0, 1, 2, 20, 20 }, at(f, 0, 1, 2, 3, 4, 5, 50))
  end)
  it("refuses what makes no sense", function()
    assert.has_error(function() schedule.cosine { base = 1 } end)
    local _, text = pcall(schedule.warmup_then_cosine, { base = 1, warmup = 5, steps = 5 })
    assert.truthy(text:find("it must be more than warmup = 5, got 5", 1, true))
  end)
end)

describe("drive", function()
  it("moves any number of any object", function()
    local criterion = crun.losses.contrastive { margin = 1 }
    local opt = crun.optim.SGD({ crun.nn.parameter(crun.zeros(2)) }, { lr = 1 })
    local drive = schedule.drive(opt, "lr", schedule.linear { from = 1, to = 0, steps = 4 }) +
      schedule.drive(criterion, "margin", schedule.linear { from = 0.5, to = 2.5, steps = 4 })
    local lr, margin = drive:at(1)
    near({ 0.75, 1 }, { lr, margin })
    near({ 0.75, 1 }, { opt.lr, criterion.margin })
  end)
  it("refuses what is not a number", function()
    local _, text = pcall(schedule.drive, { lr = "fast" }, "lr", schedule.constant { base = 1 })
    assert.truthy(text:find("schedule.drive: lr is not a number of that object: it holds a string \"fast\"", 1, true))
  end)
end)

describe("reduce_on_plateau", function()
  it("lowers after more than patience reports without improvement, then cools down", function()
    local plateau = schedule.reduce_on_plateau { base = 1, factor = 0.5, patience = 1, cooldown = 1,
      threshold = 0 }
    local seen = {}
    for i, metric in ipairs { 5, 4, 4, 4, 4, 4, 4, 3 } do seen[i] = plateau:report(metric) end
    near({ 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25 }, seen)
  end)
  it("goes on from its state", function()
    local o = { base = 1, factor = 0.1, patience = 0, mode = "max" }
    local a, b = schedule.reduce_on_plateau(o), schedule.reduce_on_plateau(o)
    a:report(0.5)
    a:report(0.4)
    b:load(a:state())
    assert.near(0.1, b(), 1e-12)
    assert.equal(a:report(0.3), b:report(0.3))
  end)
end)
