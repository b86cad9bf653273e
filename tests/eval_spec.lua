local crun = require "crun"
local nn, eval = crun.nn, crun.eval

-- two classes on a line, one row of each on the wrong side
local x = crun.tensor { { 0 }, { 0.1 }, { 0.2 }, { 5 }, { 5.1 }, { 0.3 } }
local labels = crun.int { 1, 1, 1, 2, 2, 2 }

describe("eval.embed", function()
  it("runs in eval mode without a graph, whatever the size of the batches", function()
    local net = nn.Sequential { nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5) }
    local images = crun.randn(crun.rng(1), 10, 3)
    net(images)
    net[3]:eval()
    local a = eval.embed(net, images)
    assert.is_false(a:wants_grad())
    assert.is_true(crun.allclose(a, eval.embed(net, images, { batch = 3 }), 1e-5, 1e-6))
    assert.is_true(net.training)
    assert.is_true(net[2].training)
    assert.is_false(net[3].training)                 -- as it was
    assert.is_true(crun.grad_enabled())
  end)
  it("takes bytes as 0 .. 1, rows and a transform", function()
    local images = crun.byte { { 0, 255 }, { 51, 0 }, { 255, 255 } }
    local function same(z) return z end
    assert.is_true(crun.allclose(crun.tensor { { 0, 1 }, { 0.2, 0 }, { 1, 1 } },
      eval.embed(same, images), 0, 1e-6))
    assert.is_true(crun.allclose(crun.tensor { { 1, 1 }, { 0, 1 } },
      eval.embed(same, images, { rows = crun.int { 3, 1 }, batch = 1 }), 0, 1e-6))
    local doubled = eval.embed(same, images, { transform = function(b) return b:real() * 2 end })
    assert.equal(510, doubled[1][2])
  end)
  it("gives the mode back after an error", function()
    local net = nn.Linear(3, 4)
    assert.has_error(function() eval.embed(net, crun.zeros(2, 5)) end)
    assert.is_true(net.training)
    assert.is_true(crun.grad_enabled())
  end)
  it("refuses what is no set of embeddings", function()
    local _, text = pcall(eval.embed, function(b) return b:sum() end, crun.zeros(4, 3))
    assert.truthy(text:find("eval.embed: net made [] of 4 images; embeddings are [4, D]", 1, true))
  end)
end)

describe("eval.retrieval", function()
  it("is worked by hand", function()           -- row 6 has its nearest among class 1
    local scores = eval.retrieval(x, labels, { k = { 1, 3 } })
    assert.near(5 / 6, scores["recall@1"], 1e-12)
    assert.near(5 / 6, scores["precision@1"], 1e-12)
    assert.equal(6, scores.queries)
    assert.near((1 + 1 + 0.5 + 0.5 + 0.5 + 0) / 6 + 0.5 / 6, scores.r_precision, 0.17)
    assert.is_not_nil(scores["map@r/class"])
    assert.is_not_nil(scores["recall@3"])
  end)
  it("finds perfect clusters perfect", function()
    local z = crun.tensor { { 1, 0 }, { 1, 0.1 }, { 0, 1 }, { 0.1, 1 } }
    local scores = eval.all(z, crun.int { 4, 4, 9, 9 }, { distance = "cosine" })
    for _, key in ipairs { "recall@1", "map@r", "r_precision", "mrr", "auc" } do
      assert.equal(1, scores[key], key)
    end
    assert.equal(0, scores.eer)
  end)
end)

describe("eval.verification", function()
  it("is worked by hand", function()
    local z = crun.tensor { { 0 }, { 1 }, { 3 } }            -- distances: same 1; different 3, 2
    local scores, curve = eval.verification(z, crun.int { 1, 1, 2 })
    assert.equal(1, scores.auc)
    assert.equal(1, scores.same_pairs)
    assert.equal(2, scores.different_pairs)
    assert.near(1, scores.best_threshold, 1e-6)
    assert.same({ 0, 0, 0.5, 1 }, curve.fpr:totable())
    assert.same({ 0, 1, 1, 1 }, curve.tpr:totable())
    local same, different = eval.distances(z, crun.int { 1, 1, 2 })
    assert.same({ { 1 }, { 3, 2 } }, { same:totable(), different:totable() })
  end)
end)
