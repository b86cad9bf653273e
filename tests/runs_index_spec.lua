local crun = require "crun"
local fixture = require "scripts.sweep_fixture"
local index = require "crun.index"
local shell = require "scripts.shell"
local cio = crun.io

local folder, out
before_each(function()
  folder = cio.tmpdir()
  out = folder .. "/runs"
end)
after_each(function() cio.remove_tree(folder) end)

local function lines(from, to)
  local list = {}
  for step = from, to do
    list[#list + 1] = cio.json_encode { step = step, epoch = 1, time = 1000.25 + step,
      ["train/loss"] = 1 / step, ["train/active"] = step % 3 } .. "\n"
  end
  return table.concat(list)
end

local function equal_to_fresh(idx)
  local fresh <close> = index.open(out, ":memory:")
  fresh:update()
  assert.same(index.dump(fresh), index.dump(idx))
end

describe("the index", function()
  it("reads on where a log has grown, and no line before it is whole", function()
    local path = fixture.run(out .. "/a", {})
    local idx <close> = index.open(out)
    idx:update()
    assert.equal(0, idx:count())
    cio.append_file(path .. "/metrics.jsonl", lines(1, 10) .. '{"step":11,"train/lo')
    idx:update()
    assert.equal(20, idx:count())
    equal_to_fresh(idx)
    cio.append_file(path .. "/metrics.jsonl", 'ss":0.5}\n' .. lines(12, 20))
    idx:update()
    assert.equal(20 + 1 + 18, idx:count())
    equal_to_fresh(idx)
    assert.same({}, idx:update())
  end)

  it("reads a run anew that was resumed from an earlier place", function()
    local path = fixture.run(out .. "/a", { log = { lines(1, 30) } })
    local idx <close> = index.open(out)
    idx:update()
    -- longer than before, and other lines in between
    cio.write_file(path .. "/metrics.jsonl", lines(1, 10) .. lines(50, 100))
    idx:update()
    assert.equal(2 * 61, idx:count())
    equal_to_fresh(idx)
    cio.truncate(path .. "/metrics.jsonl", #lines(1, 5))
    idx:update()
    assert.equal(10, idx:count())
    equal_to_fresh(idx)
  end)

  it("keeps NaN and infinities by their kind, and counts damaged lines", function()
    fixture.run(out .. "/a", { log = { { step = 1, a = 0 / 0, b = math.huge, c = -math.huge, d = 2 },
      "no json\n", "[1, 2]\n", { step = 2, a = 1.5, e = "text" }, '{"step":3' } })
    local idx <close> = index.open(out)
    idx:update()
    local rows = idx.db:query("SELECT name, step, value, kind FROM metric JOIN metric_key " ..
      "ON metric_key.id = key ORDER BY at, name")
    assert.same({ { name = "a", step = 1, kind = 1 }, { name = "b", step = 1, kind = 2 },
      { name = "c", step = 1, kind = 3 }, { name = "d", step = 1, kind = 0, value = 2.0 },
      { name = "a", step = 2, kind = 0, value = 1.5 } }, rows)
    assert.equal(2, idx:list()[1].damaged)
    equal_to_fresh(idx)
  end)

  it("follows runs that change, come and go, tags and notes too", function()
    fixture.run(out .. "/a", { settings = { lr = 0.1, batch = { p = 8 } },
      record = { state = "running", tag = "first" } })
    fixture.run(out .. "/b", { settings = { lr = 0.2 } })
    local idx <close> = index.open(out)
    idx:update()
    assert.equal("8", idx:list()[2].settings["batch.p"])
    assert.same({ "first" }, idx:list()[2].tags)
    fixture.run(out .. "/a", { settings = { lr = 0.1 }, summary = { ["test/map@r"] = 0.5 } })
    cio.write_file(out .. "/a/notes.json", '{"tags":["paper","x"],"notes":[]}')
    cio.remove_tree(out .. "/b")
    idx:update()
    local list = idx:list()
    assert.equal(1, #list)
    assert.equal("done", list[1].state)
    assert.same({ "paper", "x" }, list[1].tags)
    assert.equal(0.5, list[1].summary["test/map@r"])
    equal_to_fresh(idx)
  end)

  it("takes runs of sweeps as well", function()
    fixture.sweep(out, { name = "s", order = { "t" }, variants = {
      t = { tune = { 0.5 }, final = { [11] = { ["test/map@r"] = 0.5 } } } } })
    local idx <close> = index.open(out)
    idx:update()
    assert.equal("s", idx:list()[1].sweep)
  end)

  it("is made anew when it is damaged, and by rebuild", function()
    fixture.run(out .. "/a", { log = { lines(1, 10) } })
    cio.write_file(out .. "/crun.db", ("not a database"):rep(500))
    local idx = index.open(out)
    assert.truthy(idx.note:find("was damaged: it was made anew from the run folders", 1, true))
    idx:update()
    assert.equal(20, idx:count())
    idx.db:run "DELETE FROM metric WHERE step = 3"
    assert.equal(18, idx:count())
    idx:close()
    assert.same({}, index.rebuild(out))
    idx = index.open(out)
    assert.is_nil(idx.note)
    equal_to_fresh(idx)
    idx:close()
  end)

  it("is held in memory where it cannot be kept, or is newer than this crun", function()
    fixture.run(out .. "/a", { log = { lines(1, 10) } })
    cio.mkdir(out .. "/crun.db")                         -- no file can be made there
    local idx = index.open(out)
    assert.truthy(idx.note:find("the index is not kept", 1, true))
    idx:update()
    assert.equal(20, idx:count())
    idx:close()
    cio.remove_tree(out .. "/crun.db")
    local db = crun.db.open(out .. "/crun.db")
    db:script "PRAGMA user_version = 7"
    db:close()
    idx = index.open(out)
    assert.truthy(idx.note:find("written by a newer crun (its version is 7, this one knows 1)", 1,
      true), idx.note)
    idx:close()
    assert.same({}, index.rebuild(out))
    idx = index.open(out)
    assert.is_nil(idx.note)
    assert.equal(20, idx:count())
    idx:close()
  end)

  it("goes on in memory when the disk is full", function()
    local path = fixture.run(out .. "/a", {})
    local idx = index.open(out)
    idx:update()
    cio.append_file(path .. "/metrics.jsonl", lines(1, 5000))
    idx.db:script("PRAGMA max_page_count = " .. idx.db:query "PRAGMA page_count"[1].page_count + 2)
    assert.error_matches(function() idx:update() end, "database or disk is full")
    assert.equal(0, idx:count())                         -- not a half
    local other, problems = index.current(idx)
    assert.truthy(other.note:find("the index is not kept %(.*database or disk is full%)"), other.note)
    assert.same({}, problems)
    assert.equal(10000, other:count())
    other:close()
    idx = index.current(nil, out)                        -- there is room again
    assert.is_nil(idx.note)
    equal_to_fresh(idx)
    idx:close()
  end)

  it("is made by several readers at once", function()
    for i = 1, 5 do fixture.run(out .. "/r" .. i, { log = { lines(1, 50) } }) end
    local pids = {}
    for i = 1, 4 do
      pids[i] = crun.process.spawn { command = { cio.realpath "/proc/self/exe", "runs", "--out", out },
        output = ("%s/%d.txt"):format(folder, i) }
    end
    repeat
      for i = #pids, 1, -1 do
        if crun.process.poll(pids[i]) then table.remove(pids, i) end
      end
      crun.process.sleep(0.01)
    until #pids == 0
    for i = 1, 4 do
      local text = cio.read_file(("%s/%d.txt"):format(folder, i))
      assert.equal(6, select(2, text:gsub("\n", "")), text)
      assert.is_nil(text:find("note", 1, true), text)
    end
    local idx <close> = index.open(out)
    equal_to_fresh(idx)
  end)

  it("of four writers at once, read while they write, equals one made from nothing", function()
    local r = shell.run({ shell.scripts .. "/index_load.lua", out, "4", "2500", "live" },
      { folder = folder })
    assert.equal(0, r.code, r.all)
    assert.truthy(r.out:find("10000 rows in the live index, 10000 in one made anew: equal", 1, true), r.all)
  end)
end)

describe("commands of runs", function()
  local function run(...) return shell.run({ ... }, { folder = folder }) end
  local function says(code, text, ...)
    local r = run(...)
    assert.equal(code, r.code, r.all)
    assert.truthy(r.all:find(text, 1, true), r.all)
    return r
  end
  before_each(function()
    fixture.run(out .. "/a-1", { settings = { loss = "triplet", lr = 1e-3, seed = 1 },
      summary = { ["test/map@r"] = 0.5 }, log = { lines(1, 3) }, record = { started = 1.0 } })
    fixture.run(out .. "/b-2", { settings = { loss = "supcon", lr = 1e-2, seed = 1 },
      summary = { ["test/map@r"] = 0.75 }, record = { started = cio.time() - 3600, state = "failed" } })
    fixture.sweep(out, { name = "s", order = { "t" }, variants = {
      t = { tune = { 0.5 }, final = { [11] = { ["test/map@r"] = 0.5 } } } } })
  end)

  it("filter and sort", function()
    local function ids(...)
      local list = {}
      for i, r in ipairs(cio.json_decode(run("runs", "--json", ...).out)) do list[i] = r.id end
      return table.concat(list, " ")
    end
    assert.equal("b-2 a-1", ids())
    assert.equal("a-1", ids "loss=triplet")
    assert.equal("a-1", ids "lr<5e-3")
    assert.equal("b-2", ids "lr>=0.01")
    assert.equal("b-2", ids("loss!=triplet", "test/map@r>0.7"))
    assert.equal("b-2", ids "state:failed")
    assert.equal("b-2", ids "since:2h")
    assert.equal("a-1", ids "name:a")
    assert.equal("a-1 b-2", ids("--sort", "lr"))
    assert.equal("b-2 a-1", ids("--sort", "-test/map@r"))
    assert.equal("t0002-t", ids "sweep:s")
    assert.equal("", ids("sweep:s", "variant:x"))
    says(0, "and 1 run of the sweep s: crun runs sweep:s", "runs")
    says(0, "no run has a setting or result 'los'; did you mean 'loss'?", "runs", "los=x")
    says(2, "filters are KEY=VALUE", "runs", "lr<")
    says(2, "since: takes 30m", "runs", "since:soon")
  end)

  it("tag, note, remove", function()
    says(0, "a-1: paper, x", "tag", "a-1", "x", "paper")
    says(0, "a-1: paper", "tag", "a-1", "x", "--remove")
    says(2, "has no tag 'x'", "tag", "a-1", "x", "--remove")
    says(2, "one word without commas", "tag", "a-1", "a b")
    says(0, "a good one", "note", "a-1", "a", "good", "one")
    says(0, "paper", "runs", "tag:paper")
    local r = says(0, "tags", "show", "a-1")
    assert.truthy(r.out:find("a good one", 1, true), r.out)
    assert.equal("a-1", cio.json_decode(run("runs", "--json", "tag:paper").out)[1].id)
    says(2, "say --yes", "rm", "a-1")
    says(2, "belongs to a sweep", "rm", "t0002-t", "--yes")
    says(0, "removed 1 folder", "rm", "a-1", "--yes")
    assert.is_false(cio.exists(out .. "/a-1"))
    local held = crun.process.lock(out .. "/s/lock", "process 7")
    says(2, "s is being run by process 7", "rm", "s", "--yes")
    held:release()
    says(0, "sweep of 1 runs", "rm", "s", "--yes")
    assert.is_false(cio.exists(out .. "/s"))
    says(2, "rm needs a run", "rm")
  end)

  it("differ and log", function()
    cio.mkdir(out .. "/a-1/source")
    cio.mkdir(out .. "/b-2/source")
    cio.write_file(out .. "/a-1/source/x.lua", "one\ntwo\nthree\nfour\n")
    cio.write_file(out .. "/b-2/source/x.lua", "one\n2\nthree\nfour\nfive\n")
    local r = says(0, "source/x.lua", "diff", "a-1", "b-2")
    assert.truthy(r.out:find("loss +triplet +supcon"), r.out)
    assert.truthy(r.out:find("test/map@r +0.5 +0.75 +%+0.25"), r.out)
    assert.truthy(r.out:find("  -   2  two\n  +   2  2\n  +   5  five\n", 1, true), r.out)
    says(0, "settings, sources, machine and results are the same", "diff", "a-1", "a-1")
    says(2, "diff takes two runs", "diff", "a-1")
    r = says(0, "step 3  epoch 1  train/active 0  train/loss 0.33333", "log", "a-1", "-n", "2")
    assert.equal(2, select(2, r.out:gsub("\n", "")))
    says(0, "a-1: done", "log", "-f", "a-1")
  end)

  it("check and rebuild the index", function()
    says(0, "runs/crun.db: 3 runs, 6 values of metrics: in order", "db", "check")
    local db = crun.db.open(out .. "/crun.db")
    db:script "UPDATE metric SET value = 9 WHERE step = 2"
    db:close()
    says(6, "the index differs from the folders", "db", "check")
    says(0, "runs/crun.db: 3 runs, 6 values of metrics", "db", "rebuild")
    says(0, "in order", "db", "check")
    cio.write_file(out .. "/b-2/run.json", '{"state":')
    says(6, "runs/b-2/run.json cannot be read", "db", "check")
    says(2, "db takes one word", "db", "vacuum")
    says(2, "there is no folder nowhere/", "db", "check", "--out", "nowhere")
  end)
end)
