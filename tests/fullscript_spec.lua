-- Whole scripts: network, batch norm, dropout, optimiser, schedule, sampler and augmentation stop
-- and go on to the same bits.
local crun = require "crun"
local shell = require "scripts.shell"

local folder
before_each(function() folder = crun.io.tmpdir() end)
after_each(function() crun.io.remove_tree(folder) end)

local function outcome(engine, threads, words)
  if crun.io.exists(folder .. "/runs") then crun.io.remove_tree(folder .. "/runs") end
  local line = { engine, "--progress", "none", "--threads", threads, shell.scripts .. "/faces.lua" }
  local r = shell.run(table.move(words, 1, #words, #line + 1, line), { folder = folder })
  if r.code == 75 then
    r = shell.run({ engine, "--progress", "none", "--threads", threads, "resume", "-1" },
      { folder = folder })
  end
  assert.equal(0, r.code, r.err)
  local run = shell.only_run(folder)
  local log = {}
  for i, line_of_log in ipairs(shell.metrics(run)) do
    line_of_log.time = nil
    log[i] = crun.io.json_encode(line_of_log)
  end
  return { last = crun.io.sha256_file(run .. "/checkpoints/last.safetensors"),
    best = crun.io.sha256_file(run .. "/checkpoints/best.safetensors"),
      log = table.concat(log, "\n") }
end

describe("a script with everything in it", function()
  for _, engine in ipairs { "--color=never", "--double" } do
    it("gives equal bits stopped anywhere, on 1 thread and on 2: " .. engine, function()
      local whole = outcome(engine, "1", {})
      assert.same(whole, outcome(engine, "2", {}))
      for _, step in ipairs { 1, 3, 5, 9 } do
        assert.same(whole, outcome(engine, step % 2 == 0 and "1" or "2", { "stop_at=" .. step }))
      end
    end)
  end

  it("does so with every optimiser", function()
    for _, name in ipairs { "SGD", "AdamW" } do
      local whole = outcome("--color=never", "2", { "optim=" .. name })
      assert.same(whole, outcome("--color=never", "2", { "optim=" .. name, "stop_at=4" }))
    end
  end)
end)

local EXPERIMENT <const> = shell.root .. "/experiments/triplet_faces.lua"

describe("experiments/triplet_faces.lua", function()
  local exists = crun.io.exists(EXPERIMENT)

  it("lists its settings", function()
    if not exists then return pending "the experiment is not here" end
    local r = shell.run({ EXPERIMENT, "--help" }, { folder = folder })
    assert.equal(0, r.code, r.err)
    assert.truthy(r.out:find("seed=", 1, true), r.out)
  end)

  it("--quick ends in seconds with its results, its pictures and its checkpoints", function()
    if not exists then return pending "the experiment is not here" end
    local begun = crun.io.monotonic()
    local r = shell.run({ EXPERIMENT, "--quick" }, { folder = folder })
    assert.equal(0, r.code, r.err)
    assert.is_true(crun.io.monotonic() - begun < 60)
    local run = shell.only_run(folder)
    local summary = shell.json(run .. "/summary.json")
    for _, key in ipairs { "test/map@r", "baseline/pixels/map@r" } do
      assert.equal("number", type(summary[key]), key)
    end
    assert.is_true(#(crun.io.list(run .. "/pictures")) >= 1)
    assert.is_true(crun.io.exists(run .. "/checkpoints/best.safetensors"))
    assert.is_true(crun.io.exists(run .. "/source/triplet_faces.lua"))
  end)

  it("resumes to the same bits after --quick was stopped", function()
    if not exists then return pending "the experiment is not here" end
    local r = shell.run({ EXPERIMENT, "--quick", "--out", "whole" }, { folder = folder })
    assert.equal(0, r.code, r.err)
    r = shell.run({ EXPERIMENT, "--quick", "--out", "part", "--max-time", "1s" },
      { folder = folder })
    if r.code == 75 then
      r = shell.run({ "--out", "part", "resume", "-1" }, { folder = folder })
    end
    assert.equal(0, r.code, r.err)
    local function sum(out)
      return crun.io.sha256_file(("%s/%s/%s/checkpoints/last.safetensors"):format(folder, out,
        crun.io.list(folder .. "/" .. out)[1]))
    end
    assert.equal(sum "whole", sum "part")
  end)
end)
