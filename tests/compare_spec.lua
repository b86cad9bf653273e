local crun = require "crun"
local compare = require "crun.compare"
local fixture = require "scripts.sweep_fixture"
local shell = require "scripts.shell"

local folder
before_each(function() folder = crun.io.tmpdir() end)
after_each(function() crun.io.remove_tree(folder) end)

-- { 0.7, 0.71 } -> values of seeds 11, 12
local function final(values, other)
  local t = {}
  for i, v in ipairs(values) do
    t[10 + i] = { ["test/map@r"] = v, ["test/eer"] = 0.3 - v / 4 }
    for key, value in pairs(other or {}) do t[10 + i][key] = value end
  end
  return t
end

local TUNE <const> = { 0.60, 0.61, 0.62 }

local function sweep(changes)
  local s = { name = "small", order = { "plain", "good", "twin" }, variants = {
    plain = { tune = TUNE, final = final { 0.70, 0.71, 0.72 } },
    good = { tune = TUNE, final = final { 0.800, 0.812, 0.820 } },
    twin = { tune = TUNE, final = final { 0.801, 0.808, 0.822 } } } }
  for name, v in pairs(changes or {}) do
    if s.variants[name] then
      for key, value in pairs(v) do s.variants[name][key] = value end
    else
      s[name] = v
    end
  end
  return fixture.sweep(folder, s)
end

local function near(expected, got, by) assert.is_true(math.abs(expected - got) < (by or 1e-12),
    ("expected %.15g, got %.15g"):format(expected, got)) end

local function warned(c, variant, text)
  for _, w in ipairs(c.warnings) do
    if w.variant == variant and w.text:find(text, 1, true) then return w end
  end
  error(("no warning '%s' of %s in: %s"):format(text, variant, crun.io.json_encode(c.warnings)))
end

describe("compare.collect", function()
  it("makes a league table, paired by seed", function()
    local c = compare.collect(sweep())
    assert.same({ "test/map@r", "test/eer" }, c.metrics)
    local t = c.tables[1]
    assert.same({ "11", "12", "13" }, t.keys)
    assert.equal("good", t.best)
    assert.equal("good", t.rows[1].variant)
    assert.equal("twin", t.rows[2].variant)
    assert.equal("plain", t.rows[3].variant)
    -- plain is 0.1, 0.102, 0.1 behind: mean 0.302 / 3, sd 0.001154700...
    near(-0.302 / 3, t.rows[3].difference)
    local sd = math.sqrt(((0.1 - 0.302 / 3) ^ 2 * 2 + (0.102 - 0.302 / 3) ^ 2) / 2)
    near(4.302652729749464 * sd / math.sqrt(3), t.rows[3].difference_high - t.rows[3].difference,
      1e-9)
    -- Holm over two tests: the smaller p twice, the larger at least as much
    near(2 * t.rows[3].p_raw, t.rows[3].p)
    near(t.rows[2].p_raw, t.rows[2].p)
    assert.is_true(t.rows[2].tie)
    assert.is_false(t.rows[3].tie)
    assert.equal("min", c.tables[2].goal)
    assert.equal("good", c.tables[2].rows[1].variant)       -- the least eer first
  end)

  it("names ties as ties, and a winner where there is one", function()
    local c = compare.collect(sweep())
    assert.is_nil(c.verdict.winner)
    assert.same({ "twin" }, c.verdict.ties)
    assert.same({ "plain" }, c.verdict.worse)
    assert.truthy(c.verdict.text:find("twin is not told apart from it by 3 seeds; plain is worse",
      1, true), c.verdict.text)
    c = compare.collect(sweep { name = "two", order = { "plain", "good" } })
    assert.equal("good", c.verdict.winner)
    assert.truthy(c.verdict.text:find("good wins with test/map@r 0.8107", 1, true), c.verdict.text)
  end)

  it("says which ties are narrow, and how many seeds would set them apart", function()
    local c = compare.collect(sweep { plain = { final = final { 0.78, 0.795, 0.794 } } })
    local row = c.tables[1].rows[3]                        -- 0.02, 0.017, 0.026 behind
    assert.equal("plain", row.variant)
    assert.is_true(row.p_raw < 0.05 and row.p >= 0.05 == row.tie)
    local rows = compare.collect(sweep { plain = { final = final { 0.78, 0.795, 0.78 } } }).tables[1].rows
    row = rows[3]                                          -- 0.02, 0.017, 0.04 behind
    assert.is_true(row.tie)
    local sd = math.sqrt(((0.02 - 0.077 / 3) ^ 2 + (0.017 - 0.077 / 3) ^ 2 + (0.04 - 0.077 / 3) ^ 2) / 2)
    local function p_at(n)
      return 2 * crun.stats.p_of_t(0.077 / 3 * math.sqrt(n) / sd, n - 1)
    end
    assert.is_true(p_at(row.needed) < 0.05 and p_at(row.needed - 1) >= 0.05, tostring(row.needed))
    assert.is_nil(rows[2].alone)
  end)

  it("refuses a winner where the race was not fair", function()
    local function refuses(reason, name, changes)
      changes.name, changes.order = name, { "plain", "good" }
      local path = sweep(changes)
      local c = compare.collect(path)
      assert.is_nil(c.verdict.winner)
      assert.is_true(c.verdict.refused)
      assert.truthy(c.verdict.text:find(reason, 1, true), c.verdict.text)
      c = compare.collect(path, { allow_unfair = true })
      assert.truthy(c.verdict.text:find("^NOT A FAIR COMPARISON"), c.verdict.text)
      assert.truthy(c.verdict.text:find(reason, 1, true), c.verdict.text)
    end
    refuses("2 seeds of good (3 are needed)", "a", { good = { final = final { 0.8, 0.81 } } })
    refuses("not selected on validation data but on test/map@r", "b",
      { sweep = { metric = { name = "test/map@r", goal = "max" } } })
    refuses("budgets differ: 2 to 3 tuning trials a variant", "c", { good = { tune = { 0.6, 0.6 } } })
    refuses("nothing was tuned, so no setting was selected", "i",
      { good = { tune = {} }, plain = { tune = {} } })
    refuses("no setting of good was selected", "d", { good = { unselected = true } })
    local failed = final { 0.8, 0.81, 0.82, 0.83 }
    failed[14].state = "failed"
    refuses("1 final run is missing", "e", { good = { final = failed } })
    refuses("the sweep is not done", "f", { sweep = { state = "final" } })
    refuses("the sweep counts as unfair", "g", { sweep = { unfair = true } })
    refuses("the script changed on the way", "h", { sweep = { unfair = "the script changed on the way" } })
  end)

  it("warns", function()
    local crashed = final { 0.8, 0.81, 0.82, 0.83 }
    crashed[14].state = "diverged"
    local c = compare.collect(sweep {
      plain = { tune = { "diverged", "pruned", 0.6 }, edges = { "lr" } },
      good = { final = crashed, warnings = { { kind = "rank", step = 3, text = "val/rank has fallen" } } },
      twin = { final = final({ 0.7, 0.7, 0.7 }, { ["test/spread"] = 1e-5 }) } })
    warned(c, "plain", "the best lr = 0.003 lies at the edge of its range (tried 0.001 to 0.003)")
    warned(c, "plain", "1 of 3 tuning trials diverged")
    warned(c, "plain", "1 of 3 tuning trials stopped early by pruning")
    warned(c, "good", "the run of seed 14 diverged")
    warned(c, "good", "val/rank has fallen (seeds 11, 12, 13, 14)")
    warned(c, "twin", "embeddings have collapsed: test/spread = 1e-05 (seed 12)")
  end)

  it("drops torn lines and says when others are damaged", function()
    local path = sweep()
    local before = crun.io.json_encode(compare.collect(path).tables)
    crun.io.append_file(path .. "/trials.jsonl", '{"trial": 18, "state": "run')
    assert.equal(before, crun.io.json_encode(compare.collect(path).tables))
    crun.io.append_file(path .. "/trials.jsonl", "\n")
    local c = compare.collect(path)
    assert.equal(before, crun.io.json_encode(c.tables))
    warned(c, nil, "1 lines of plan.jsonl or trials.jsonl cannot be read")
  end)

  it("leaves out values that are not numbers", function()
    local values = final { 0.8, 0.81, 0.82 }
    values[12]["test/map@r"] = 0 / 0
    local c = compare.collect(sweep { good = { final = values } })
    for _, row in ipairs(c.tables[1].rows) do
      assert.equal(row.variant == "good" and 2 or 3, row.n)
    end
    assert.is_nil(c.verdict.winner)
  end)

  it("compares runs that belong to no sweep", function()
    local list = {}
    for i, loss in ipairs { "triplet", "triplet", "supcon", "supcon" } do
      local path = fixture.run(("%s/r%d"):format(folder, i), {
        settings = { loss = loss, seed = 1 + i % 2 },
        summary = { ["test/map@r"] = 0.5 + i / 100 } })
      list[i] = require("crun.runs").open(path)
    end
    local c = compare.of_runs(list)
    assert.equal(2, #c.variants)
    assert.equal("loss=supcon", c.tables[1].best)
    near(-0.02, c.tables[1].rows[2].difference)
    assert.is_true(c.verdict.refused)
    assert.truthy(c.verdict.text:find("these are loose runs", 1, true))
  end)

  it("knows of which metrics less is better", function()
    for name, goal in pairs { ["test/eer"] = "min", ["test/loss"] = "min", ["test/map@r"] = "max",
        ["test/tar@fmr=0.001"] = "max", ["test/fnmr@fmr=0.001"] = "min", seconds = "min" } do
      assert.equal(goal, compare.goal(name), name)
    end
    assert.equal("max", compare.goal("test/energy_loss", { name = "val/energy_loss", goal = "max" }))
  end)

  it("says that a folder is no sweep", function()
    assert.error_matches(function() compare.collect(folder) end, "is not a sweep folder: it has no sweep.json")
    crun.io.write_file(folder .. "/sweep.json", '{"name": "x", "final": 3}')
    assert.error_matches(function() compare.collect(folder) end, "sweep.json: 'final' must be an object, got 3")
    crun.io.write_file(folder .. "/sweep.json", '{"name": "x"}')
    crun.io.write_file(folder .. "/plan.jsonl", '{"trial":1}\n')
    assert.error_matches(function() compare.collect(folder) end, "has no trial: its plan.jsonl is missing or damaged")
    crun.io.write_file(folder .. "/sweep.json", '{"name": "x"')
    assert.error_matches(function() compare.collect(folder) end, "is not a sweep folder: .*sweep.json")
  end)
end)

describe("crun compare", function()
  local function run(...) return shell.run({ "compare", ... }, { folder = folder }) end

  it("prints the same bytes whatever the runs cost", function()
    local path = sweep()
    local first, json = run(path), run(path, "--json")
    assert.equal(0, first.code, first.all)
    for _, name in ipairs((crun.io.list(path))) do
      local file = ("%s/%s/summary.json"):format(path, name)
      if crun.io.exists(file) then
        local s = crun.io.json_decode(crun.io.read_file(file))
        s.seconds, s.peak_mb = s.seconds * 3.7, s.peak_mb + 11
        crun.io.write_file(file, crun.io.json_encode(s))
      end
    end
    -- a trial that was killed and done again
    crun.io.write_file(path .. "/trials.jsonl", '{"trial":1,"state":"killed","attempt":1}\n' ..
      crun.io.read_file(path .. "/trials.jsonl"))
    assert.equal(first.out, run(path).out)
    assert.equal(json.out, run(path, "--json").out)
    assert.not_equal(first.out, run(path, "--cost").out)
    assert.truthy(run(path, "--cost").out:find("images/s  Pareto", 1, true))
    assert.equal("small", crun.io.json_decode(json.out).name)
  end)

  it("fails where it is told to", function()
    local path = sweep()
    local function gate(code, text, expression)
      local r = run(path, "--fail-if", expression)
      assert.equal(code, r.code, r.all)
      assert.truthy(r.err:find(text, 1, true), r.err)
    end
    gate(0, "", "good.test/map@r < 0.8")
    gate(6, "crun: compare: failed: good.test/map@r < 0.82 (good.test/map@r = 0.8107, 0.8200)",
      "good.test/map@r < 0.82")
    gate(6, "failed", "best.test/map@r<=1")
    gate(6, "failed", "good.test/map@r > plain.test/map@r + 0.1")
    gate(0, "", "good.test/map@r > plain.test/map@r + 0.2")
    gate(2, "there is no 'god.test/map@r'; did you mean 'good.test/map@r'?", "god.test/map@r < 1")
    gate(2, "--fail-if takes VARIANT.METRIC < NUMBER", "nonsense")
    local r = run(path, "--metric", "test/none", "--fail-if", "good.test/none < 0")
    assert.equal(6, r.code, r.all)
    assert.truthy(r.out:find("no run has a value of test/none", 1, true), r.out)
  end)

  it("says what it needs", function()
    local r = run()
    assert.equal(2, r.code)
    assert.truthy(r.err:find("compare needs a sweep folder, or runs", 1, true))
    r = run("nowhere")
    assert.equal(2, r.code)
  end)
end)
