local crun = require "crun"
local cio = crun.io
local evidence = require "crun.evidence"

-- what M.write needs of a run
local function fake_run()
  local path = os.tmpname()
  os.remove(path)
  cio.mkdir(path)
  local run = { path = path, values = {} }
  function run:writing(_, f, ...) return f(...) end
  function run:summary(values) for k, v in pairs(values) do self.values[k] = v end end
  function run:histogram(values, prefix) for k, v in pairs(values) do self.values[prefix .. k] = v end end
  return run
end

local function sets(run)
  return cio.json_decode(cio.read_file(run.path .. "/evidence.json")).sets
end

describe("evidence", function()
  it("is worked by hand", function()       -- two pairs, 1 and 3 apart; between them 4 and more
    local n = evidence.measure(crun.tensor { { 0 }, { 1 }, { 5 }, { 8 } }, crun.int { 1, 1, 2, 2 },
      "euclidean")
    assert.same({ pairs = 2, mean = 2.0, std = 1.0 }, n.positive)
    assert.equal(4, n.negative.pairs)
    assert.near((5 + 8 + 4 + 7) / 4, n.negative.mean, 1e-6)
    assert.near((6 - 2) / math.sqrt((1 + 2.5) / 2), n.d_prime, 1e-5)
    assert.equal(0, n.overlap)
    assert.equal(1, n.auc)
    assert.equal(1, n["map@r"])
    assert.same({ 1, 2 }, { table.unpack(n.recall.k) })
    assert.same({ 1, 1 }, { table.unpack(n.recall.value) })
    assert.near(10 ^ -0.6, n.roc.far[1], 1e-9)              -- the least far of 4 pairs is 1/4
    assert.equal(1, n.roc.tar[1])
    -- |z - mean|^2 over |z|^2: 41 / 90
    assert.near(math.sqrt(((3.5 ^ 2 + 2.5 ^ 2 + 1.5 ^ 2 + 4.5 ^ 2) / 4) / (90 / 4)), n.spread, 1e-5)
    assert.near(1, n.effective_rank, 1e-4)
  end)

  it("sees a collapse", function()
    local n = evidence.measure(crun.ones(6, 3), crun.int { 1, 1, 2, 2, 3, 3 }, "euclidean")
    assert.near(0, n.spread, 1e-6)
    assert.equal(0, n.effective_rank)
    assert.equal(1, n.overlap)
    assert.is_nil(n.d_prime)
  end)

  it("keeps a sample, thumbnails and panels whose neighbours are right", function()
    local run, N = fake_run(), 1203
    local labels = (crun.arange(0, N - 1) / 3):int()
    local z = crun.randn(crun.rng(1), N, 4)
    local images = crun.randint(crun.rng(2), 256, N, 3, 64, 48):byte()
    evidence.write(run, "test", { embeddings = z, labels = labels, images = images })
    local t = cio.read_safetensors(run.path .. "/embeddings/test.safetensors")
    assert.same({ 500, 4 }, t.embeddings:shape())
    assert.same({ 500, 3, 32, 24 }, t.images:shape())
    local rows = t.rows:totable()
    assert.is_true(rows[1] >= 1 and rows[500] <= N)
    assert.same(z[rows[77]]:totable(), t.embeddings[77]:totable())
    local set = sets(run).test
    assert.equal(N, set.rows)
    assert.equal(8, #set.panels)
    assert.same({ 8 * 6, 3, 32, 24 }, t.panel_images:shape())
    for _, panel in ipairs(set.panels) do
      local before = -1
      for i, row in ipairs(panel.rows) do
        assert.not_equal(panel.query, row)
        local d = (z[row] - z[panel.query]):square():sum():sqrt():item()
        assert.near(d, panel.distances[i], 1e-4)
        assert.is_true(d >= before - 1e-5)
        assert.equal(labels[row] == labels[panel.query], panel.right[i])
        before = d
      end
    end
    assert.near(set.spread, run.values["test/spread"], 1e-12)
    assert.near(set.effective_rank, run.values["test/effective_rank"], 1e-12)
  end)

  it("keeps several sets, and the last of one name", function()
    local run = fake_run()
    local z, labels = crun.randn(crun.rng(1), 6, 2), crun.int { 1, 1, 2, 2, 3, 3 }
    evidence.write(run, "val", { embeddings = z, labels = labels })
    evidence.write(run, "test", { embeddings = z, labels = labels, distance = "cosine" })
    evidence.write(run, "test", { embeddings = z * 2, labels = labels })
    local all = sets(run)
    assert.equal("euclidean", all.test.distance)
    assert.equal(6, all.val.rows)
    assert.is_nil(cio.read_safetensors(run.path .. "/embeddings/val.safetensors").images)
  end)

  it("works on classes of one row and on one class", function()
    local z = crun.randn(crun.rng(1), 4, 2)
    local alone = evidence.measure(z, crun.int { 1, 2, 3, 4 }, "euclidean")
    assert.equal(0, alone.positive.pairs)
    assert.is_nil(alone.roc)
    assert.equal(0, #alone.panels)
    local one = evidence.measure(z, crun.int { 1, 1, 1, 1 }, "euclidean")
    assert.equal(0, one.negative.pairs)
    assert.equal(4, #one.panels)
  end)

  it("takes images of reals", function()
    local t = evidence.thumbnails("here", crun.tensor { { { 0, 1 }, { 0.5, 0.25 } } }, { 1 }, 32)
    assert.same({ { { 0, 255 }, { 128, 64 } } }, t:totable())
  end)

  it("says what it cannot use", function()
    local run = fake_run()
    local z, labels = crun.randn(crun.rng(1), 4, 2), crun.int { 1, 1, 2, 2 }
    local function fails(text, name, opts)
      local _, message = pcall(evidence.write, run, name, opts)
      assert.truthy(tostring(message):find(text, 1, true), message)
    end
    fails("the name must be letters", "../x", { embeddings = z, labels = labels })
    fails("labels must have 4 rows as embeddings, got [2]", "x", { embeddings = z,
      labels = crun.int { 1, 2 } })
    fails("embeddings must be [N, D], got [4]", "x",
      { embeddings = labels:real(), labels = labels })
    fails("a value that is not finite", "x", { embeddings = z / 0, labels = labels })
    fails("images must be [N, H, W]", "x", { embeddings = z, labels = labels,
      images = crun.zeros(4, 7, 8, 8) })
    fails("needs 2 rows or more, got 1", "x", { embeddings = crun.zeros(1, 2),
      labels = crun.int { 1 } })
    fails("did you mean 'labels'", "x", { embeddings = z, labels = labels, lables = 1 })
  end)
end)
