-- A stopped and resumed run must leave the bytes of a run that was never stopped.
local crun = require "crun"
local checkpoint = require "crun.checkpoint"
local shell = require "scripts.shell"

local folder
before_each(function() folder = crun.io.tmpdir() end)
after_each(function() crun.io.remove_tree(folder) end)

local function train(...)
  return shell.run({ "--progress", "none", shell.scripts .. "/train.lua", ... },
    { folder = folder })
end

local function resume(...)
  return shell.run({ "--progress", "none", "resume", "-1", ... }, { folder = folder })
end

-- what must be equal: weights, the best weights, and the log without its times
local function outcome()
  local run = shell.only_run(folder)
  local log = {}
  for i, line in ipairs(shell.metrics(run)) do
    line.time = nil
    log[i] = crun.io.json_encode(line)
  end
  return { last = crun.io.sha256_file(run .. "/checkpoints/last.safetensors"),
    best = crun.io.sha256_file(run .. "/checkpoints/best.safetensors"), log = log,
    state = shell.json(run .. "/run.json").state,
      score = shell.json(run .. "/summary.json")["test/score"] }
end

local function fresh()
  if crun.io.exists(folder .. "/runs") then crun.io.remove_tree(folder .. "/runs") end
end

describe("resume", function()
  for _, source in ipairs { "sampler", "through", "loop", "count" } do
    it("gives equal bits after a stop at any step, batches from: " .. source, function()
      assert.equal(0, train("source=" .. source).code)
      local whole = outcome()
      -- -1: in the evaluation after the last epoch
      for _, step in ipairs { 1, 4, 5, 6, 13, 15, -1 } do
        fresh()
        assert.equal(75, train("source=" .. source, "signal_at=" .. step).code)
        local r = resume()
        assert.equal(0, r.code, r.err)
        assert.same(whole, outcome())
      end
    end)
  end

  it("gives equal bits after two stops, and with two loops an epoch", function()
    assert.equal(0, train("source=count", "loops=2").code)
    local whole = outcome()
    fresh()
    assert.equal(75, train("source=count", "loops=2", "signal_at=8").code)
    assert.equal(0, resume().code)
    assert.same(whole, outcome())
    assert.truthy(shell.run({ "show", "-1" }, { folder = folder }).out:find("in 2 parts", 1, true))
  end)

  it("gives equal bits after kill -9 at any step", function()
    assert.equal(0, train().code)
    local whole = outcome()
    for step = 1, 15, 3 do
      fresh()
      assert.equal(137, train("kill_at=" .. step).code)
      local r = resume()
      assert.equal(0, r.code, r.err)
      assert.same(whole, outcome())
    end
  end)

  it("gives equal bits on 1 and 2 threads, and in float64", function()
    for _, precision in ipairs { "--progress=none", "--double" } do
      local sums = {}
      for threads = 1, 2 do
        fresh()
        local r = shell.run({ precision, "--threads", tostring(threads), shell.scripts ..
          "/train.lua" }, { folder = folder })
        assert.equal(0, r.code, r.err)
        sums[threads] = outcome()
      end
      assert.same(sums[1], sums[2])
    end
  end)

  it("works from the script with --resume: the newest unfinished run with these settings",
    function()
    assert.equal(0, train().code)
    local whole = outcome()
    fresh()
    assert.equal(75, train("signal_at=7").code)
    local other = train("lr=0.5", "--resume")               -- other settings: a new run
    assert.truthy(other.out:find("new", 1, true))
    local r = train("signal_at=7", "--resume")
    assert.equal(0, r.code, r.err)
    assert.truthy(r.out:find("resumed", 1, true))
    for _, name in ipairs((crun.io.list(folder .. "/runs"))) do
      local config = shell.json(folder .. "/runs/" .. name .. "/config.json")
      if config.settings.lr == 0.5 then crun.io.remove_tree(folder .. "/runs/" .. name) end
    end
    assert.same(whole, outcome())
    -- it is done now: a new run, which stops again
    assert.equal(75, train("signal_at=7", "--resume").code)
    assert.equal(2, #(crun.io.list(folder .. "/runs")))
  end)

  it("refuses a run named by --resume=RUN that had other settings", function()
    assert.equal(75, train("signal_at=7").code)
    local r = train("signal_at=7", "lr=0.5", "--resume=-1")
    assert.equal(3, r.code)
    assert.truthy(r.err:find("was run with other settings: lr = 0.05 there, 0.5 here", 1, true),
      r.err)
  end)

  it("runs the saved copy: an edited script does not matter", function()
    local text = crun.io.read_file(shell.scripts .. "/train.lua")
    crun.io.write_file(folder .. "/mine.lua", text)
    assert.equal(75, shell.run({ "mine.lua", "signal_at=7" }, { folder = folder }).code)
    crun.io.write_file(folder .. "/mine.lua", "error 'edited'\n")
    local r = resume()
    assert.equal(0, r.code, r.err)
  end)

  it("says why it cannot", function()
    assert.equal(75, train("signal_at=7").code)
    local r = shell.run({ "--double", "resume", "-1" }, { folder = folder })
    assert.equal(2, r.code)
    assert.truthy(r.err:find("computes in float32, this process in float64: leave out --double", 1,
      true), r.err)
    assert.equal(2, shell.run({ "resume", "-7" }, { folder = folder }).code)
    r = shell.run({ "resume", "nothing" }, { folder = folder })
    assert.equal(2, r.code)
    assert.truthy(r.err:find("there is no run 'nothing' in runs/", 1, true), r.err)
    assert.equal(0, resume().code)
    r = resume()
    assert.equal(0, r.code)
    assert.truthy(r.err:find("is done: there is nothing to go on with", 1, true))
  end)

  it("stays ended after a break out of the epochs", function()
    assert.equal(0, train("break_after=2").code)
    local run = shell.only_run(folder)
    local record = shell.json(run .. "/run.json")
    record.state = "stopped"
    crun.io.write_file(run .. "/run.json", crun.io.json_encode(record))
    assert.equal(0, resume().code)
    assert.equal(12, #shell.metrics(run))                   -- 2 epochs of 5 steps
  end)
end)

describe("options of a run", function()
  it("--max-time stops with a checkpoint, --needed does nothing twice, --dry-run makes no folder",
    function()
    local r = train("--max-time", "0.0s")
    assert.equal(75, r.code)
    assert.truthy(r.err:find("stopped by --max-time after the end of epoch 0 (0 steps)", 1, true),
      r.err)
    assert.equal(0, resume().code)
    r = train("--needed")
    assert.equal(0, r.code)
    assert.equal("", r.out)
    assert.truthy(train("--needed", "--seed", "5").out:find("new", 1, true))
    assert.equal(2, #(crun.io.list(folder .. "/runs")))
    r = train("--dry-run")
    assert.equal(0, r.code)
    assert.equal(2, #(crun.io.list(folder .. "/runs")))
    assert.equal(2, train("--max-time", "soon").code)
  end)

  it("--checkpoint-every saves within an epoch", function()
    assert.equal(137, train("kill_at=4", "--checkpoint-every", "0s").code)
    assert.equal(3, checkpoint.find(shell.only_run(folder) .. "/checkpoints",
      "last").counters.place.step)
  end)
end)

describe("a full disk", function()
  it("at any moment of a step's log and checkpoint: one message, exit 74, and a resume to equal bits", function()
    assert.equal(0, train().code)
    local whole = outcome()
    local failed = 0
    for point = 1, 33, 3 do
      fresh()
      local r = train("full_at=10", "full_after=" .. point)
      if r.code ~= 0 then
        failed = failed + 1
        assert.equal(74, r.code, r.err)
        assert.truthy(r.err:find("No space left on device; nothing saved before is damaged: ", 1,
          true), r.err)
        assert.is_nil(r.err:find("traceback", 1, true), r.err)
        r = resume()
        assert.equal(0, r.code, r.err)
      end
      assert.same(whole, outcome())
    end
    assert.is_true(failed >= 8)
  end)
end)

describe("a checkpoint", function()
  local function object(state)
    local o = { now = state }
    function o:state() return self.now end
    function o:load(s) self.now = s end
    return o
  end

  it("keeps every kind of value", function()
    local state = { w = crun.tensor { 1, 2 }, rows = crun.int { 3 }, mask = crun.byte { 1 }, n = 7,
      x = 0.1, whole = 2.0,
      yes = true, text = "ä\n", list = { 1, 2, 3 }, holes = { [2] = "b", [9] = "i" }, ["#odd"] = 1,
      none = {}, inf = math.huge, nan = 0 / 0, deep = { er = { v = crun.zeros(2, 2) } } }
    assert.is_true(checkpoint.save(folder, "last", { o = object(state) }, { saves = 1 }))
    local o = object()
    checkpoint.load(checkpoint.find(folder, "last"), { o = o })
    local s = o.now
    assert.same({ 1, 2 }, s.w:totable())
    assert.same({ 3 }, s.rows:totable())
    assert.equal("uint8", s.mask:dtype())
    assert.equal("integer", math.type(s.n))
    assert.equal("float", math.type(s.whole))
    assert.same({ 1, 2, 3 }, s.list)
    assert.same({ [2] = "b", [9] = "i" }, s.holes)
    assert.equal(1, s["#odd"])
    assert.same({}, s.none)
    assert.equal(math.huge, s.inf)
    assert.is_true(s.nan ~= s.nan)
    assert.same({ 0.1, true, "ä\n" }, { s.x, s.yes, s.text })
    assert.same({ 2, 2 }, s.deep.er.v:shape())
  end)

  it("is found whole wherever a save was cut off", function()
    for cut = 1, 40 do
      crun.io.remove_tree(folder)
      assert.is_true(checkpoint.save(folder, "last", { o = object { w = crun.tensor { 1 } } },
        { saves = 1 }))
      assert.is_true(checkpoint.save(folder, "last", { o = object { w = crun.tensor { 2 } } },
        { saves = 2 }, { previous = true }))
      crun.io.fail_at(cut, true)
      local ok = checkpoint.save(folder, "last", { o = object { w = crun.tensor { 3 } } },
        { saves = 3 }, { previous = true })
      crun.io.fail_at(0)
      local o = object()
      local found = checkpoint.find(folder, "last")
      checkpoint.load(found, { o = o })
      assert.equal(found.counters.saves, o.now.w:item())
      assert.is_true(found.counters.saves == 3 or not ok and found.counters.saves == 2)
      -- and the next save is none the worse for it
      assert.is_true(checkpoint.save(folder, "last", { o = object { w = crun.tensor { 4 } } },
        { saves = 4 }, { previous = true }))
      assert.equal(4, checkpoint.find(folder, "last").counters.saves)
    end
  end)

  it("falls back to the one before when the newest is damaged, and says so when none is whole",
    function()
    checkpoint.save(folder, "last", { o = object { w = crun.tensor { 1 } } }, { saves = 1 },
      { previous = true })
    checkpoint.save(folder, "last", { o = object { w = crun.tensor { 2 } } }, { saves = 2 },
      { previous = true })
    crun.io.append_file(folder .. "/last.safetensors", "x")
    assert.equal(1, checkpoint.find(folder, "last").counters.saves)
    crun.io.append_file(folder .. "/last.previous.safetensors", "x")
    local found, why = checkpoint.find(folder, "last")
    assert.is_nil(found)
    assert.truthy(why:find("no whole checkpoint 'last' in", 1, true))
  end)

  it("has bytes that depend on the tensors only", function()
    checkpoint.save(folder, "a", { o = object { w = crun.tensor { 1 }, v = crun.tensor { 2 } } },
      { saves = 1 })
    checkpoint.save(folder, "b", { o = object { v = crun.tensor { 2 }, w = crun.tensor { 1 } } },
      { saves = 9 })
    assert.equal(crun.io.sha256_file(folder .. "/a.safetensors"),
      crun.io.sha256_file(folder .. "/b.safetensors"))
  end)

  it("keeps generators and bare tensors", function()
    local rng, w = crun.rng(3, "x"), crun.tensor { 1, 2 }
    rng:uniform()
    checkpoint.save(folder, "last", { rng = rng, w = w }, { saves = 1 })
    local next_number = rng:uniform()
    w:fill_(0)
    checkpoint.load(checkpoint.find(folder, "last"), { rng = rng, w = w })
    assert.equal(next_number, rng:uniform())
    assert.same({ 1, 2 }, w:totable())
  end)

  it("names what it lacks", function()
    checkpoint.save(folder, "last", { net = object { 1 } }, { saves = 1 })
    local ok, message = pcall(checkpoint.load, checkpoint.find(folder, "last"), { opt = object() })
    assert.is_false(ok)
    assert.truthy(message:find("holds nothing named 'opt'; it holds net", 1, true), message)
  end)
end)
