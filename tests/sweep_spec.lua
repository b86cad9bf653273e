-- Sweeps of trials that cost nothing (scripts/sweep_trial.lua), run as a user runs them.
local crun = require "crun"
local kills = require "scripts.sweep_kills"
local plans = require "crun.sweep.plan"
local shell = require "scripts.shell"
local store = require "crun.sweep.store"
local cio, process = crun.io, crun.process

local SCRIPT <const> = shell.scripts .. "/sweep_trial.lua"
local PLAN <const> = ([[
name: small
script: %s
metric: {name: val/score, goal: max}
folds: 2
fixed: {steps: 2}
shared: {lr: {log_uniform: [1e-3, 1e-1]}}
variants:
  near: {loss.name: near, loss.margin: {choice: [0.1, 0.5, 0.9]}}
  far: {loss: {name: far, margin: {uniform: [0.0, 1.0]}}}
tune: {trials_per_variant: 4, seed: 1}
final: {seeds: [11, 12, 13], report: [test/score]}
launcher: {jobs: 2}
]]):format(SCRIPT)

local folder
before_each(function() folder = cio.tmpdir() end)
after_each(function() cio.remove_tree(folder) end)

local function write(text, name)
  cio.write_file(folder .. "/" .. (name or "plan.yaml"), text)
  return name or "plan.yaml"
end

local function changed(from, to)
  local at, stop = PLAN:find(from, 1, true)
  assert(at, from)
  return PLAN:sub(1, at - 1) .. to .. PLAN:sub(stop + 1)
end

local function crun_sweep(...) return shell.run({ "sweep", ... }, { folder = folder }) end
local function open(name) return assert(store.open(folder .. "/runs/" .. (name or "small"))) end

-- what must not depend on the way a sweep went
local function results(sweep)
  local lines = {}
  for _, trial in ipairs(sweep.trials) do
    local summary = trial.state == "done" and shell.json(("%s/%s/summary.json"):format(sweep.path, trial.run)) or {}
    lines[#lines + 1] = ("%d %s %s %.17g %.17g %s"):format(trial.trial, trial.variant, trial.state, trial.score or -1,
      summary["test/score"] or -1, cio.json_encode(trial.settings))
  end
  lines[#lines + 1] = cio.json_encode(sweep.record.selected)
  return table.concat(lines, "\n")
end

describe("a plan", function()
  it("is refused with line and column", function()
    for _, case in ipairs {
      { "metric:", "metrik:", ":3:1: a plan has no 'metrik'; did you mean 'metric'?" },
      { "{log_uniform: [1e-3, 1e-1]}", "{choice: []}", ":6:15: lr: choice is empty" },
      { "{log_uniform: [1e-3, 1e-1]}", "{log_uniform: [1e-1, 1e-3]}", ":6:15: lr: log_uniform takes [least, most]; 0.1 is not below" },
      { "{log_uniform: [1e-3, 1e-1]}", "{log_unifrom: [1e-3, 1e-1]}", "did you mean 'log_uniform'" },
      { "{steps: 2}", "{steps: {choice: [1, 2]}}", ":5:9: steps is fixed, so there is nothing to search" },
      { "{steps: 2}", "{seed: 2}", ":5:9: seed is set by the sweep" },
      { "{steps: 2}", "{lr: 2}", "is in fixed already" },
      { "loss.name: near, ", "", ":8:3: variant near names no loss; the others set loss.name" },
      { "seeds: [11, 12", "seeds: [11, 1", ":11:21: seed 1 is the seed of the tuning" },
      { "seeds: [11, 12, 13]", "seeds: []", ":11:9: seeds is empty" },
      { "name: val/score", "name: test/score", ":3:10: test/score is a score on test data" },
      { "{jobs: 2}", "{jobs: two}", ":12:12: jobs must be a whole number from 1" },
      { "\nfolds: 2", "\nfolds: 2\nfolds: 3", ":5:1: the key 'folds' stands twice" },
      { "\nfixed", "\n\tfixed", ":5:1: a tab" },
      { "script: " .. SCRIPT, "script: none.lua", ":2:1: there is no script 'none.lua'" },
      { "trials_per_variant: 4, seed", "seed", ":10:7: 'trials_per_variant' is missing" },
      { "name: small", "name: ../x", ":1:1: name is that of a folder" },
    } do
      local ok, message = pcall(plans.parse, changed(case[1], case[2]), "plan.yaml")
      assert.is_false(ok, case[3])
      assert.truthy(message:find("plan.yaml" .. case[3], 1, true) or message:find(case[3], 1, true), message)
    end
  end)
  it("gives every variant the same number of trials, round by round", function()
    local lines = plans.parse(PLAN, "plan.yaml"):expand()
    assert.equal(4 * 2 + 3 * 2, #lines)
    for i = 1, 8 do
      assert.equal("tune", lines[i].phase)
      assert.equal(i % 2 == 1 and "near" or "far", lines[i].variant)
      assert.equal((i + 1) // 2, lines[i].round)
      assert.truthy(lines[i].settings)
    end
    for i = 9, 14 do
      assert.equal("final", lines[i].phase)
      assert.is_nil(lines[i].settings)
    end
    assert.same({ 11, 1 }, { lines[9].seed, lines[9].fold })
    assert.same({ 12, 2 }, { lines[11].seed, lines[11].fold })
  end)
  it("draws the same settings whatever else is in it", function()
    local function settings(text)
      local all = {}
      for _, line in ipairs(plans.parse(text, "p"):expand()) do
        if line.variant == "near" and line.settings then all[#all + 1] = cio.json_encode(line.settings) end
      end
      return all
    end
    local more = settings(changed("trials_per_variant: 4", "trials_per_variant: 6"))
    local other = settings((changed("  far: {loss: {name: far, margin: {uniform: [0.0, 1.0]}}}\n", "")))
    for i, one in ipairs(settings(PLAN)) do
      assert.equal(one, more[i])
      assert.equal(one, other[i])
    end
    assert.equal(6, #more)
  end)
  it("takes KEY=VALUE over fixed settings only", function()
    local plan = plans.parse(PLAN, "p", { "steps=7", "sleep=0.5" })
    assert.truthy(table.concat(plan:arguments(plan:expand()[1]), " "):find("sleep=0.5 steps=7", 1, true))
    assert.has_error(function() plans.parse(PLAN, "p", { "lr=3" }) end)
    assert.has_error(function() plans.parse(PLAN, "p", { "loss.margin=3" }) end)
    assert.are_not.equal(plan.sha256, plans.parse(PLAN, "p").sha256)
  end)
  it("is checked against the script's own settings before anything runs", function()
    for _, case in ipairs {
      { "loss.margin: {choice", "loss.margn: {choice", "plan.yaml:8:27: variant near:" },
      { "loss.name: near", "loss.name: neer", "did you mean near?" },
      { "{steps: 2}", "{stepps: 2}", "did you mean 'steps'?" },
    } do
      write(changed(case[1], case[2]))
      local r = crun_sweep("plan.yaml")
      assert.equal(3, r.code)
      assert.truthy(r.err:find(case[3], 1, true), r.err)
      assert.is_false(cio.exists(folder .. "/runs/small/sweep.json"))
    end
  end)
end)

describe("a sweep", function()
  it("tunes, selects on validation data, and tests with fresh seeds", function()
    write(PLAN)
    local dry = crun_sweep("plan.yaml", "--dry-run")
    assert.equal(0, dry.code, dry.err)
    assert.truthy(dry.out:find("14 runs: 2 variants x 4 tuning trials", 1, true), dry.out)
    assert.truthy(dry.out:find("about 0:%d%d: %d+ s a run, 2 at a time"), dry.out)
    assert.is_false(cio.exists(folder .. "/runs/small"))
    local r = crun_sweep("plan.yaml")
    assert.equal(0, r.code, r.err)
    local sweep = open()
    assert.equal("done", sweep.record.state)
    assert.equal(6, sweep.record.test_looks)
    local best = {}
    for _, trial in ipairs(sweep.trials) do
      assert.equal("done", trial.state)
      local run = shell.json(("%s/%s/run.json"):format(sweep.path, trial.run))
      local summary = shell.json(("%s/%s/summary.json"):format(sweep.path, trial.run))
      assert.same({ "small", trial.trial, trial.variant, trial.phase, trial.fold },
        { run.sweep, run.trial, run.variant, run.phase, run.fold })
      assert.equal(trial.phase == "final", summary["test/score"] ~= nil)
      assert.equal(trial.phase == "final" and 1 or nil, run.test_looks)
      if trial.phase == "tune" and (not best[trial.variant] or trial.score > best[trial.variant].score) then
        best[trial.variant] = trial
      elseif trial.phase == "final" then
        assert.equal(cio.json_encode(best[trial.variant].settings), cio.json_encode(trial.settings))
      end
    end
    for name, chosen in pairs(sweep.record.selected) do
      assert.equal(best[name].trial, chosen.trial)
      assert.equal(best[name].score, chosen.score)
    end
    assert.truthy(crun_sweep("status", "small").out:find("done, 14 of 14 runs", 1, true))
    assert.equal(0, crun_sweep("plan.yaml").code)           -- nothing left to do
  end)

  it("comes to the same with pruning and a model, however many run at once and whoever is killed", function()
    local text = changed("seed: 1}", "seed: 1, method: model, start: 4, batch: 2, prune: {min: 1, factor: 2}}")
      :gsub("trials_per_variant: 4", "trials_per_variant: 8"):gsub("steps: 2", "steps: 2, sleep: 0.01")
    write(text)
    local alone = crun_sweep("plan.yaml", "--jobs", "1", "--name", "alone")
    assert.equal(0, alone.code, alone.err)
    local two = crun_sweep("plan.yaml", "--jobs", "2", "--name", "two")
    assert.equal(0, two.code, two.err)
    local first = open "alone"
    assert.equal(results(first), results(open "two"))
    local n = first:count("tune")
    assert.is_true(n.pruned >= 6, "pruned " .. n.pruned)
    local counts, code = kills.disturb(folder .. "/plan.yaml", folder .. "/runs", "killed", { kills = 8, seconds = 0.8, seed = 5 })
    assert.equal(0, code, cio.read_file(folder .. "/runs/coordinator.txt"))
    assert.is_true(counts.coordinator + counts.worker + counts.both >= 4)
    assert.equal(results(first), results(open "killed"))
  end)

  it("stops with checkpoints on a signal, and goes on", function()
    write((changed("{steps: 2}", "{steps: 2, sleep: 0.2}")))
    local pid = process.spawn { command = { shell.program, "sweep", "plan.yaml" }, folder = folder, output = folder .. "/log" }
    for _ = 1, 500 do
      process.sleep(0.01)
      if cio.exists(folder .. "/runs/small/t0002-far/metrics.jsonl") then break end
    end
    local second = crun_sweep("plan.yaml")
    assert.equal(2, second.code)
    assert.truthy(second.err:find("is being run by process " .. pid, 1, true), second.err)
    assert.equal(0, crun_sweep("stop", "small").code)
    local how
    repeat
      process.sleep(0.02)
      how = process.poll(pid)
    until how ~= nil
    assert.equal(75, how.code, cio.read_file(folder .. "/log"))
    local sweep = open()
    assert.equal("stopped", sweep.record.state)
    assert.equal(0, sweep:count().running)
    assert.equal(2, crun_sweep("stop", "small").code)
    local on = crun_sweep("resume", "small")
    assert.equal(0, on.code, on.err)
    assert.equal(14, open():count().done)
  end)

  it("refuses a plan or a script that was edited, and extends", function()
    write(PLAN)
    cio.write_file(folder .. "/trial.lua", cio.read_file(SCRIPT))
    local text = PLAN:gsub("script: [^\n]+", "script: trial.lua")
    write(text)
    assert.equal(0, crun_sweep("plan.yaml").code)
    local before = results(open())
    write((text:gsub("seeds: %[11, 12, 13%]", "seeds: [11, 12, 13, 14]")))
    local refused = crun_sweep("plan.yaml")
    assert.equal(3, refused.code)
    assert.truthy(refused.err:find("--extend", 1, true), refused.err)
    assert.equal(3, crun_sweep("plan.yaml", "steps=9").code)
    local extended = crun_sweep("plan.yaml", "--extend")
    assert.equal(0, extended.code, extended.err)
    local sweep = open()
    assert.equal(16, #sweep.trials)
    assert.equal(16, sweep:count().done)
    assert.equal(before:match("^(.-)\n{"), results(sweep):sub(1, #before:match("^(.-)\n{")))
    write((text:gsub("11, 12, 13", "11, 12")))
    local less = crun_sweep("plan.yaml", "--extend")
    assert.equal(3, less.code)
    assert.truthy(less.err:find("only adds", 1, true), less.err)
    cio.write_file(folder .. "/trial.lua", cio.read_file(SCRIPT) .. "\n-- changed\n")
    local other = crun_sweep("resume", "small")
    assert.equal(3, other.code)
    assert.truthy(other.err:find("trial.lua is not what it was", 1, true), other.err)
  end)

  it("drops a torn line, and says where a damaged one is", function()
    write(PLAN)
    assert.equal(0, crun_sweep("plan.yaml").code)
    local path = folder .. "/runs/small/trials.jsonl"
    local whole = cio.read_file(path)
    local before = results(open())
    cio.write_file(path, whole:sub(1, -20))                  -- the last change is lost: its trial is looked at again
    assert.equal(0, crun_sweep("resume", "small").code)
    assert.equal(before, results(open()))
    cio.write_file(path, "{]\n" .. whole)
    local damaged = crun_sweep("status", "small")
    assert.are_not.equal(0, damaged.code)
    assert.truthy(damaged.err:find("trials.jsonl:1: damaged line", 1, true), damaged.err)
  end)

  it("tells what failed, ends with 7, and tries again when asked", function()
    local flag = folder .. "/mended"
    write((changed("  far: {loss: {name: far", ("  far: {fail: error, fail_at: %s, loss: {name: far"):format(flag))))
    local r = crun_sweep("plan.yaml")
    assert.equal(7, r.code, r.err)
    assert.truthy(r.err:find("this trial fails", 1, true), r.err)
    local sweep = open()
    assert.equal(7, sweep:count(nil, "near").done)
    assert.equal(7, sweep:count(nil, "far").failed)
    assert.equal(2, sweep.trials[2].attempt)                 -- once more, as `retries` says
    assert.is_nil(sweep.record.selected.far)
    write("", "mended")
    local again = crun_sweep("retry", "small")
    assert.equal(0, again.code, again.err)
    assert.equal(14, open():count().done)
    assert.truthy(open().record.selected.far)
    assert.equal(2, crun_sweep("retry", "small").code)
  end)

  it("gives up early when every trial fails the same way", function()
    write((changed("{steps: 2}", "{steps: 2, fail: error}")))
    local r = crun_sweep("plan.yaml")
    assert.equal(7, r.code)
    assert.truthy(r.err:find("the first 3 trials failed", 1, true), r.err)
    assert.is_true(open():count().failed < 6)
  end)

  it("knows diverged trials, missing metrics, time limits and memory limits", function()
    local function state(word, ...)
      local name = "s" .. word:gsub("%W", "")
      write((changed("{steps: 2}", "{steps: 2, " .. word .. "}")))
      local r = crun_sweep("plan.yaml", "--name", name, ...)
      local sweep = open(name)
      return sweep.trials[1].state, sweep.trials[1].reason or "", r
    end
    local is, why, r = state "fail: nan"
    assert.equal("diverged", is)
    assert.truthy(why:find("train/loss is NaN", 1, true), why)
    is, why = state "fail: metric"
    assert.equal("failed", is)
    assert.truthy(why:find("the run has no val/score; it logged train/loss", 1, true), why)
    is, why = state("fail: memory", "--memory", "64M")
    assert.equal("failed", is)
    assert.truthy(why:find("memory", 1, true), why)
    is, why = state("sleep: 3.0", "--max-time", "1s")
    assert.equal("failed", is)
    assert.truthy(why:find("it took longer than 1 s", 1, true), why)
    assert.truthy(r)
  end)

  it("of a grid needs no file", function()
    local r = crun_sweep(SCRIPT, "-p", "lr=1e-2,1e-3", "-p", "loss.name=near,far", "steps=2", "--metric", "val/score",
      "--seeds", "1,2", "--name", "grid")
    assert.equal(0, r.code, r.err)
    local sweep = open "grid"
    assert.equal(8, sweep:count().done)
    assert.same({ "lr=1e-2 loss.name=near", "lr=1e-2 loss.name=far", "lr=1e-3 loss.name=near", "lr=1e-3 loss.name=far" },
      sweep.record.variants)
  end)

  it("in a folder that takes nothing, or on a full disk, says so and loses nothing", function()
    write(PLAN)
    cio.write_file(folder .. "/runs", "")                    -- a file where the folder should be
    local r = crun_sweep("plan.yaml")
    assert.equal(74, r.code)
    assert.truthy(r.err:find("was not made", 1, true), r.err)
    cio.remove(folder .. "/runs")
    write((changed("{steps: 2}", "{steps: 2, sleep: 0.02}")))
    local full = shell.run({ "-e", [[
      local crun = require "crun"
      local store = require "crun.sweep.store"
      local plan = crun.sweep.plan("plan.yaml")
      local change, n = store, 0
      local run = require("crun.sweep.coordinator").new
      require("crun.sweep.coordinator").new = function(...)
        local self = run(...)
        local settle = self.settle
        self.settle = function(...) n = n + 1 if n == 3 then crun.io.fail_at(1, true) end return settle(...) end
        return self
      end
      crun.sweep.run(plan, {})]] }, { folder = folder })
    assert.equal(74, full.code, full.err)
    assert.truthy(full.err:find("nothing finished is lost", 1, true), full.err)
    process.sleep(0.5)
    assert.equal(0, crun_sweep("resume", "small").code)
    assert.equal(14, open():count().done)
  end)

  it("that is not there is told from those that are", function()
    write(PLAN)
    assert.equal(0, crun_sweep("plan.yaml").code)
    local r = crun_sweep("status", "smal1")
    assert.equal(2, r.code)
    assert.truthy(r.err:find("did you mean 'small'?", 1, true), r.err)
    assert.equal(0, crun_sweep("status", "sma").code)
    assert.equal(2, crun_sweep("none.yaml").code)
    assert.equal(2, crun_sweep("resume", "small", "lr=1").code)
    assert.equal(2, crun_sweep("plan.yaml", "--jobs", "many").code)
  end)
end)

describe("the lock on test data", function()
  it("keeps a trial that is being tuned from looking", function()
    write((changed("{steps: 2}", "{steps: 2, fail: test}")))
    local r = crun_sweep("plan.yaml")
    assert.equal(7, r.code)
    assert.truthy(open().trials[1].reason:find("test/score: test data is locked while the sweep is being tuned", 1, true))
  end)
  it("is open for a run of no sweep, which counts its looks", function()
    local r = shell.run({ SCRIPT, "steps=2" }, { folder = folder })
    assert.equal(0, r.code, r.err)
    local run = shell.only_run(folder)
    assert.equal(1, shell.json(run .. "/run.json").test_looks)
    assert.equal("number", type(shell.json(run .. "/summary.json")["test/score"]))
  end)
  it("says what is wrong with CRUN_TRIAL", function()
    for _, text in ipairs { "nonsense", "/none:3" } do
      local r = shell.run({ SCRIPT }, { folder = folder, env = "CRUN_TRIAL=" .. text })
      assert.equal(3, r.code)
      assert.truthy(r.err:find("CRUN_TRIAL", 1, true), r.err)
    end
  end)
end)
