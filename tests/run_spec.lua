local crun = require "crun"
local shell = require "scripts.shell"
local runs = require "crun.runs"

local folder
before_each(function() folder = crun.io.tmpdir() end)
after_each(function() crun.io.remove_tree(folder) end)

local function train(...)
  return shell.run({ shell.scripts .. "/train.lua", ... }, { folder = folder })
end

describe("a run folder", function()
  it("holds settings, log, results, sources, checkpoints and events", function()
    local r = train("lr=0.1", "--name", "small", "--tag", "first")
    assert.equal(0, r.code, r.err)
    local path = shell.only_run(folder)
    assert.truthy(path:find("/small%-%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d%-%x%x%x%x%x%x$"), path)
    local config = shell.json(path .. "/config.json")
    assert.equal(0.1, config.settings.lr)
    assert.equal("command line", config.origin.lr)
    assert.equal("default", config.origin.epochs)
    local record = shell.json(path .. "/run.json")
    assert.equal("done", record.state)
    assert.equal(0, record.exit_code)
    assert.equal("first", record.tag)
    assert.equal(1, record.seed)
    assert.equal(crun.version, record.crun)
    assert.equal(crun.precision, record.precision)
    assert.same({ "lr=0.1" }, record.args)
    assert.truthy(record.cpu and record.host and record.start_time and record.end_time and
      record.threads)
    assert.equal(crun.io.read_file(shell.scripts .. "/train.lua"),
      crun.io.read_file(path .. "/source/train.lua"))
    local summary = shell.json(path .. "/summary.json")
    assert.equal(15, summary.steps)
    assert.equal(3, summary.epochs)
    for _, key in ipairs { "test/score", "val/score", "train/loss", "best/value", "best/epoch" } do
      assert.equal("number", type(summary[key]), key)
    end
    local metrics = shell.metrics(path)
    assert.equal(18, #metrics)                              -- 15 steps, 3 epochs
    assert.equal(1, metrics[1].step)
    assert.equal(1, metrics[1].epoch)
    assert.equal(15, metrics[18].step)
    assert.equal(3, metrics[18].epoch)
    assert.truthy(metrics[1]["train/loss"] and metrics[6]["val/score"])
    for _, name in ipairs { "last.safetensors", "last.json", "best.safetensors", "best.json",
        "last.previous.json" } do
      assert.is_true(crun.io.exists(path .. "/checkpoints/" .. name), name)
    end
    local events = false
    for _, name in ipairs((crun.io.list(path))) do
      assert.is_nil(name:find("tmp", 1, true))
      events = events or name:find("^events%.out%.tfevents%.") ~= nil
    end
    assert.is_true(events)
  end)

  it("copies the modules of the script, and only those", function()
    crun.io.mkdir(folder .. "/lib")
    crun.io.write_file(folder .. "/lib/part.lua", "return 7\n")
    crun.io.write_file(folder .. "/beside.lua", "return require 'lib.part'\n")
    crun.io.write_file(folder .. "/s.lua",
      "local crun = require 'crun'\nlocal x = require 'beside'\n" ..
      "local run = crun.start()\nrun:summary { x = x }\nrun:finish()\n")
    local r = shell.run({ "s.lua" }, { folder = folder })
    assert.equal(0, r.code, r.err)
    local source = shell.only_run(folder) .. "/source"
    assert.same({ "beside.lua", "lib", "s.lua" }, (crun.io.list(source)))
    assert.same({ "part.lua" }, (crun.io.list(source .. "/lib")))
  end)

  it("gives back what was logged", function()
    crun.io.write_file(folder .. "/s.lua", "local crun = require 'crun'\nlocal run = crun.start()\n" ..
      "for i = 1, 3 do run:log { a = i / 2, b = i == 2 and 0 / 0 or i } end\n" ..
      "local h = run:history { 'a', 'b', 'c' }\n" ..
      "print(#h.a.step, h.a.value[3], h.b.value[2] ~= h.b.value[2], #h.c.step, h.b.step[3])\nrun:finish()\n")
    local r = shell.run({ "s.lua" }, { folder = folder })
    assert.equal("3\t1.5\ttrue\t0\t3\n", r.out, r.err)
  end)

  it("never collides", function()
    crun.io.write_file(folder .. "/s.lua",
      "local crun = require 'crun'\nfor _ = 1, 20 do crun.start(nil, { name = 'x' }):finish() end\n")
    assert.equal(0, shell.run({ "s.lua" }, { folder = folder }).code)
    assert.equal(20, #(crun.io.list(folder .. "/runs")))
  end)

  it("knows the commit of the work tree", function()
    crun.io.mkdir(folder .. "/.git/refs/heads")
    crun.io.write_file(folder .. "/.git/HEAD", "ref: refs/heads/main\n")
    crun.io.write_file(folder .. "/.git/packed-refs", "# pack-refs\n" .. ("ab"):rep(20) ..
      " refs/heads/main\n")
    local provenance = require "crun.provenance"
    crun.io.mkdir(folder .. "/deep/er")
    assert.equal(("ab"):rep(20), provenance.git_commit(folder .. "/deep/er"))
    crun.io.write_file(folder .. "/.git/refs/heads/main", ("cd"):rep(20) .. "\n")
    assert.equal(("cd"):rep(20), provenance.git_commit(folder))
    crun.io.write_file(folder .. "/.git/HEAD", ("ef"):rep(20) .. "\n")
    assert.equal(("ef"):rep(20), provenance.git_commit(folder))
  end)

  it("takes pictures", function()
    crun.io.write_file(folder .. "/s.lua", [[
      local crun = require "crun"
      local run = crun.start()
      local image = crun.byte { { { 0, 255 }, { 128, 7 } } }
      run:picture("grid", image)
      crun.io.write_png(run:picture "own", image)
      run:picture("copy", run.path .. "/pictures/own.png")
      run:finish()]])
    local r = shell.run({ "s.lua" }, { folder = folder })
    assert.equal(0, r.code, r.err)
    local pictures = shell.only_run(folder) .. "/pictures/"
    for _, name in ipairs { "grid", "own", "copy" } do
      assert.same({ { { 0, 255 }, { 128, 7 } } },
        crun.io.read_image(pictures .. name .. ".png"):totable())
    end
  end)
end)

describe("a run that ends badly", function()
  local function state() return runs.open(shell.only_run(folder)) end

  it("stops at a NaN loss with 5, the step and the last healthy checkpoint", function()
    local r = train("nan_at=8")
    assert.equal(5, r.code)
    assert.truthy(r.err:find("run: the loss is NaN at step 8 (epoch 2, step 3 of it); the last healthy " ..
      "checkpoint is runs/", 1, true), r.err)
    assert.truthy(r.err:find("last.safetensors, of the end of epoch 1 (5 steps)", 1, true), r.err)
    assert.is_nil(r.err:find("traceback", 1, true))
    assert.equal("failed", state().state)
    assert.equal(5, state().record.exit_code)
  end)

  it("says so when there is no checkpoint yet", function()
    local r = train("nan_at=1")
    assert.equal(5, r.code)
    assert.truthy(r.err:find("at step 1 (epoch 1, step 1 of it); there is no checkpoint yet", 1,
      true), r.err)
  end)

  it("never writes weights that are not finite", function()
    local r = train("weight_nan_at=15")
    assert.equal(5, r.code)
    assert.truthy(r.err:find("w holds a value that is not finite", 1, true), r.err)
    local last = crun.io.read_safetensors(shell.only_run(folder) .. "/checkpoints/last.safetensors")
    assert.equal(6, last.w:isfinite():real():sum():item())
  end)

  it("is failed after an error of the script, with its text", function()
    local r = train("error_at=8")
    assert.equal(1, r.code)
    assert.truthy(r.err:find("train.lua:%d+: a mistake of the script"))
    assert.equal("failed", state().state)
    assert.truthy(state().record.reason:find("train.lua:%d+: a mistake of the script"))
    assert.equal(8, shell.metrics(shell.only_run(folder))[8].step + 1)
  end)

  it("is failed after an error inside a coroutine too", function()
    local r = train("error_at=8", "coroutine=true")
    assert.equal(1, r.code)
    assert.truthy(r.err:find("train.lua:%d+: a mistake of the script"))
    assert.equal("failed", state().state)
  end)

  it("is lost after kill -9", function()
    assert.equal(137, train("kill_at=8").code)
    assert.equal("lost", state().state)
    assert.equal(0, shell.run({ "resume", "-1" }, { folder = folder }).code)
    assert.equal("done", state().state)
  end)

  it("names mistakes in the use of run at the script's line", function()
    local function refuses(text, code)
      crun.io.write_file(folder .. "/s.lua",
        "local crun = require 'crun'\nlocal run = crun.start()\n" .. code)
      local r = shell.run({ "s.lua" }, { folder = folder })
      assert.equal(1, r.code)
      assert.truthy(r.err:find("s.lua:3: " .. text, 1, true), r.err)
    end
    refuses("run:checkpoint: net must be a tensor or have the methods state() and load(state), got 3", "run:checkpoint { net = 3 }")
    refuses("run:checkpoint: expected a table like { net = net, opt = opt }, got nothing",
      "run:checkpoint()")
    refuses("run:log: loss must be a number or a tensor of one, got a string \"x\"",
      "run:log { loss = 'x' }")
    refuses("run:log: loss must be one number, got a tensor of 3",
      "run:log { loss = crun.zeros(3) }")
    refuses("run:histogram: expected a table like { weights = tensor }, got nothing",
      "run:histogram()")
    refuses("run:histogram: w must be a tensor, got 3", "run:histogram { w = 3 }")
    refuses("run:steps: goes inside `for epoch in run:epochs(n) do`", "run:steps(3)")
    refuses("run:epochs: the number of epochs must be a whole number, got a string \"3\"",
      "run:epochs('3')")
    refuses("run:restore: no checkpoint 'best' in runs/", "run:restore 'best'")
    refuses("run:save_best: mode must be one of max, min; got a string \"most\"",
      "run:save_best(1, 'most')")
    refuses("start: expected what crun.config returned, got a table", "crun.start { lr = 1 }")
  end)
end)

describe("a run in a loop of the script's own", function()
  it("counts steps by its log, and stops early by its best value", function()
    crun.io.write_file(folder .. "/s.lua", [[
      local crun = require "crun"
      local run = crun.start()
      local n = 0
      for epoch in run:epochs(20) do
        for _ in run:steps(3) do n = n + 1 end
        run:save_best(epoch <= 2 and epoch or 0)
        if run:early_stop(3) then break end
      end
      run:summary { n = n, epochs_run = run.place.epoch }
      run:finish()]])
    local r = shell.run({ "s.lua" }, { folder = folder })
    assert.equal(0, r.code, r.err)
    local summary = shell.json(shell.only_run(folder) .. "/summary.json")
    assert.equal(5, summary.epochs_run)
    assert.equal(15, summary.n)
    assert.equal(2, summary["best/epoch"])
  end)
end)

describe("progress", function()
  it("prints one line an epoch where there is no terminal", function()
    local r = train()
    local lines = select(2, r.err:gsub("\n", "\n"))
    assert.equal(4, lines, r.err)                           -- the run folder and 3 epochs
    assert.truthy(r.err:find("epoch 2/3  loss 0%.%d+  active 50 %%  [%d,]+ images/s  val/score %-0%.%d+"), r.err)
    assert.is_nil(r.err:find("\27", 1, true))
  end)

  it("says nothing when asked", function()
    assert.equal("", train("--progress", "none").err)
  end)

  it("never writes a bar wider than the terminal", function()
    for _, width in ipairs { 20, 40, 80 } do
      local r = shell.run({ "--progress", "bar", shell.scripts .. "/train.lua" },
        { folder = folder, env = "COLUMNS=" .. width })
      for line in r.err:gmatch("[^\r\n]+") do
        if line:find("^epoch") then
          assert.is_true(#line:gsub("\27%[K", "") < width, line)
        end
      end
    end
  end)
end)
