local crun = require "crun"
local runs = require "crun.runs"
local shell = require "scripts.shell"

local folder
before_each(function() folder = crun.io.tmpdir() end)
after_each(function() crun.io.remove_tree(folder) end)

local function train(...)
  return shell.run({ shell.scripts .. "/train.lua", ... }, { folder = folder })
end

describe("a signal", function()
  for _, name in ipairs { "INT", "TERM", "USR1" } do
    it("SIG" .. name .. ": the step is finished, a checkpoint written, one line how to go on, exit 75", function()
      local r = train("signal_at=8", "signal=" .. name)
      assert.equal(75, r.code)
      local run = runs.open(shell.only_run(folder))
      assert.truthy(r.err:find(("stopped by SIG%s after epoch 2, step 3 (8 in all); go on with: crun resume %s\n")
        :format(name, "runs/" .. run.id), 1, true), r.err)
      assert.equal("stopped", run.state)
      assert.equal("SIG" .. name, run.record.reason)
      assert.equal(75, run.record.exit_code)
      assert.equal(9, #shell.metrics(run.path))             -- 8 steps and one validation
    end)
  end

  it("twice: stops at once with 130, and what was saved is whole", function()
    for _, where in ipairs { "coroutine=false", "coroutine=true" } do
      local r = train("signal_at=8", "twice=true", where)
      assert.equal(130, r.code, r.err)
      local run = runs.open(shell.only_run(folder))
      assert.equal("stopped", run.state)
      local last = require("crun.checkpoint").find(run.path .. "/checkpoints", "last")
      assert.equal(5, last.counters.place.step)
      crun.io.remove_tree(folder .. "/runs")
    end
  end)

  it("stops a run between its epochs and after them too", function()
    crun.io.write_file(folder .. "/s.lua", [[
      local crun = require "crun"
      local run = crun.start()
      run:checkpoint { w = crun.zeros(2) }
      local function signal() io.popen("kill -INT " .. crun.io.getpid()):close() end
      for epoch in run:epochs(2) do
        if epoch == 2 and arg[1] == "within" then signal() end
      end
      if arg[1] == "behind" then signal() end
      run:summary { done = 1 }
      run:finish()]])
    for _, where in ipairs { "within", "behind" } do
      local r = shell.run({ "s.lua", where }, { folder = folder })
      assert.equal(75, r.code, r.err)
    end
  end)

  it("ends a plain script with 130", function()
    local r = shell.run { "-e",
      "io.popen('kill -INT ' .. require('crun').io.getpid()):close() while true do end" }
    assert.equal(130, r.code)
  end)
end)
