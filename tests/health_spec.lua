local crun = require "crun"
local fixture = require "scripts.sweep_fixture"
local health = crun.health

-- feeds `n` steps of f(step); returns the kinds of the warnings
local function kinds(f, n, opts)
  local watch = health.new(opts)
  for step = 1, n do watch:log(f(step), step) end
  local list = {}
  for i, w in ipairs(watch.warnings) do list[i] = w.kind end
  return list, watch.warnings
end

local function noise(step) return (step * 7919 % 101) / 101 end

describe("the collapse watch", function()
  it("is silent over a run that learns", function()
    assert.same({}, (kinds(function(step)
      return { ["train/loss"] = 0.5 * math.exp(-step / 100) + 0.05 * noise(step),
        ["train/active"] = math.max(0.05, 1 - step / 200), ["train/positive"] = 0.3,
        ["train/negative"] = 1 + 0.1 * noise(step), ["train/gradient"] = 1 + noise(step),
        ["val/rank"] = 20 - step / 100, ["val/spread"] = 0.9 }
    end, 500, { margin = 0.2 })))
  end)

  it("sees a loss pinned at its margin, once", function()
    local list, warnings = kinds(function(step)
      return { ["train/loss"] = step < 20 and 0.3 or 0.2 + 1e-4 * noise(step) }
    end, 200, { margin = 0.2 })
    assert.same({ "margin" }, list)
    assert.equal(59, warnings[1].step)                       -- 40 in a row from step 20 on
    assert.equal("train/loss has been pinned at the margin 0.2 for 40 steps: the embeddings of all classes lie together",
      warnings[1].text)
    assert.truthy(warnings[1].help:find("semihard", 1, true))
  end)

  it("sees a loss that stands still, or is 0", function()
    assert.same({ "still" }, (kinds(function(step)
      return { ["train/loss"] = 4.1431347 + 1e-7 * noise(step) }
    end, 100)))
    assert.same({ "active" }, (kinds(function() return { ["train/loss"] = 0.0 } end, 100)))
  end)

  it("sees that nothing is active", function()
    local list = kinds(function(step)
      local some = step < 50 and 0.1 + noise(step) or 0.0
      return { ["train/active"] = some, ["train/loss"] = some }
    end, 200)
    assert.same({ "active" }, list)
  end)

  it("sees all embeddings at one point", function()
    assert.same({ "point" }, (kinds(function(step)
      return { ["train/negative"] = 1e-4 * noise(step) }
    end, 100)))
  end)

  it("sees gradients that explode, vanish, are no numbers", function()
    local list, warnings = kinds(function(step)
      return { ["train/gradient"] = step < 100 and 1 + noise(step) or 1e5 }
    end, 110)
    assert.same({ "gradient_exploding" }, list)
    assert.equal(102, warnings[1].step)
    assert.same({}, (kinds(function(step)                    -- one peak is none
      return { ["train/gradient"] = step == 100 and 1e6 or 1 + noise(step) }
    end, 200)))
    assert.same({ "gradient_zero" }, (kinds(function() return { ["train/grad_norm"] = 0.0 } end, 50)))
    assert.same({ "gradient_exploding" }, (kinds(function()
      return { ["train/gradient"] = 0 / 0 }
    end, 3)))
  end)

  it("sees rank and spread fall", function()
    local list = kinds(function(step)
      return { ["val/effective_rank"] = step < 5 and 12.0 or 2.0,
        ["val/spread"] = step < 6 and 0.9 or 0.05 }
    end, 10)
    assert.same({ "rank", "spread" }, list)
  end)

  it("keeps what it finds in run.json, and says the same of a resumed run", function()
    local folder <close> = setmetatable({ path = crun.io.tmpdir() }, { __close = function(t)
      crun.io.remove_tree(t.path)
    end })
    local log = {}
    for step = 1, 30 do log[step] = { step = step, ["train/loss"] = 0.25 } end
    log[31] = '{"step": 31, "train/lo'
    local path = fixture.run(folder.path .. "/r", { settings = { loss = { margin = 0.25 } }, log = log })
    local written = 0
    local run = { path = path, record = { warnings = { { kind = "later" } } },
      write_record = function() written = written + 1 end }
    crun.options.progress = "none"
    local watch = health.watch(run)
    assert.equal(0, #run.record.warnings)
    for step = 31, 60 do watch:log({ ["train/loss"] = 0.25 }, step) end
    assert.equal(1, written)
    assert.equal("margin", run.record.warnings[1].kind)
    assert.equal(40, run.record.warnings[1].step)
    for step = 31, 60 do log[step] = { step = step, ["train/loss"] = 0.25 } end
    fixture.run(path, { settings = { loss = { margin = 0.25 } }, log = log })
    assert.same(run.record.warnings[1], health.review(path)[1])
  end)
end)

describe("health.embedding", function()
  local rng = crun.rng(1, "health")
  it("is the width of a ball, 1 of a line, 0 at a point", function()
    local ball = health.embedding(crun.randn(rng, 3000, 8))
    assert.is_true(ball.rank > 7.9 and ball.rank <= 8.000001 and math.abs(ball.spread - 1) < 0.01)
    local line = health.embedding(crun.randn(rng, 100, 1) * crun.ones(1, 8))
    assert.is_true(math.abs(line.rank - 1) < 1e-3)
    assert.same({ rank = 1.0, spread = 0.0 }, health.embedding(crun.ones(10, 4)))
    -- fewer rows than columns: the same number from the smaller matrix
    local x = crun.randn(rng, 6, 40)
    local wide = health.embedding(x)
    assert.is_true(wide.rank > 3.5 and wide.rank <= 5.0001)
  end)
  it("refuses what are no embeddings", function()
    assert.error_matches(function() health.embedding(crun.ones(4)) end, "must be %[N, D%]")
  end)
end)
