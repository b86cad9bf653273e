local crun = require "crun"
local relation, losses = crun.relation, crun.losses

local z = crun.tensor { { 0, 0 }, { 3, 4 }, { 0, 1 }, { 2, 0 } }
local y = crun.int { 1, 1, 2, 2 }

local function listed(...)
  local out = {}
  for i, t in ipairs { ... } do out[i] = t:totable() end
  return out
end

describe("a relation", function()
  it("of labels names pairs and triplets", function()
    local r = relation { labels = y }
    assert.is_true(r.plain)
    assert.same({ { 1, 2, 3, 4 }, { 2, 1, 4, 3 }, { 1, 1, 2, 2, 3, 3, 4, 4 }, { 3, 4, 3, 4, 1, 2, 1,
      2 } },
      listed(r:pairs(4, 4, true)))
    assert.same({ { 1, 1, 2, 2, 3, 3, 4, 4 }, { 2, 2, 1, 1, 4, 4, 3, 3 }, { 3, 4, 3, 4, 1, 2, 1,
      2 } },
      listed(r:triplets(4, 4, true)))
  end)

  it("of several labels an item", function()
    local many = relation { labels = { { 1, 0, 0 }, { 1, 1, 0 }, { 0, 1, 0 }, { 0, 0, 1 } } }
    assert.is_nil(many.plain and true or nil)
    local positive, negative = many:masks(4, 4, true)
    assert.same({ { 0, 1, 0, 0 }, { 1, 0, 1, 0 }, { 0, 1, 0, 0 }, { 0, 0, 0, 0 } },
      positive:totable())
    assert.same({ { 0, 0, 1, 1 }, { 0, 0, 0, 1 }, { 1, 0, 0, 1 }, { 1, 1, 1, 0 } },
      negative:totable())
    local all = relation { labels = { { 1, 1 }, { 1, 1 }, { 0, 1 } }, share = "all" }
    assert.same({ { 0, 1, 0 }, { 1, 0, 0 }, { 0, 0, 0 } }, all:masks(3, 3, true):totable())
    -- labels that are one each say the same as class numbers
    local one_hot = crun.tensor { { 1, 0 }, { 1, 0 }, { 0, 1 }, { 0, 1 } }
    assert.near(losses.triplet()(z, y):item(), losses.triplet()(z, one_hot):item(), 1e-6)
  end)

  it("of pairs and of triplets, with weights", function()
    local c = losses.contrastive { variant = "hadsell", margin = 2, reducer = "sum" }
    local one = c(z, relation { positives = { { 1 }, { 2 } }, negatives = { { 1 }, { 3 } } }):item()
    assert.near(25 / 2 + 1 / 2, one, 1e-5)
    local heavy = c(z, relation { positives = { { 1 }, { 2 }, { 2 } }, negatives = { { 1 }, { 3 },
      { 10 } } }):item()
    assert.near(25 + 5, heavy, 1e-5)
    local t = losses.triplet { margin = 1, reducer = "sum" }
    assert.near(5 - 1 + 1, t(z, relation { triplets = { { 1 }, { 2 }, { 3 } } }):item(), 1e-5)
    assert.near(3 * 5, t(z, relation { triplets = { { 1 }, { 2 }, { 3 }, { 3 } } }):item(), 1e-5)
    -- triplets from pairs: every positive of an anchor with every negative of it
    assert.same({ { 1, 1 }, { 2, 2 }, { 3, 4 } },
      listed(relation { positives = { { 1, 3 }, { 2, 4 } }, negatives = { { 1, 1, 2 },
        { 3, 4, 3 } } }:triplets(4, 4)))
  end)

  it("stands where tuples do: as a table, or as what a miner returns", function()
    local t = losses.triplet { margin = 1, reducer = "sum" }
    local a, p, n = crun.int { 1 }, crun.int { 2 }, crun.int { 3 }
    assert.near(5, t(z, y, { a, p, n }):item(), 1e-5)
    assert.near(5, t(z, y, a, p, n):item(), 1e-5)
    assert.near(5, t(z, y, nil, nil, { a, p, n }):item(), 1e-5)
    assert.near(5, t(z, nil, { a, p, n }):item(), 1e-5)
    assert.near(5, t(z, y, a, p, a, n):item(), 1e-5)
    assert.near(5, t(z, y, { a, p, n }, z, y):item(), 1e-5)
  end)

  it("leaves ignored pairs out, in both orders", function()
    local r = relation { labels = y, ignored = { { 2 }, { 1 } } }
    local a, p, a2 = r:pairs(4, 4, true)
    assert.same({ { 3, 4 }, { 4, 3 } }, listed(a, p))
    assert.equal(8, #a2)
    r = relation { labels = y, ignored = { { 1 }, { 3 } } }
    assert.equal(6, #select(3, r:pairs(4, 4, true)))
    r = relation { triplets = { { 1, 1 }, { 2, 2 }, { 3, 4 } }, ignored = { { 3 }, { 1 } } }
    assert.same({ { 1 }, { 2 }, { 4 } }, listed(r:triplets(4, 4, true)))
  end)

  it("has margins by class, in place of the loss's", function()
    local r = relation { labels = y, margins = { 0.5, 2 } }
    local t = losses.triplet { margin = 7, reducer = "sum" }
    local d = crun.distances.lp()(z)
    local want = 0
    for a = 1, 4 do
      local class = a <= 2 and 1 or 2
      local p = ({ 2, 1, 4, 3 })[a]
      for n = 1, 4 do
        if (n <= 2) ~= (a <= 2) then
          want = want + math.max(0, d[a][p] - d[a][n] + ({ 0.5, 2 })[class])
        end
      end
    end
    assert.near(want, t(z, r):item(), 1e-4)
  end)

  it("of queries against references", function()
    local queries, q = z:narrow(1, 1, 2), crun.int { 1, 2 }
    local r = relation { labels = q, reference_labels = y }
    assert.is_true(r.plain)
    local c = losses.contrastive { variant = "pml" }
    assert.near(c(queries, q, z, y):item(), c(queries, r, z):item(), 1e-6)
    local composed = losses.contrastive { variant = "pml", composed = true }
    assert.near(c(queries, q, z, y):item(), composed(queries, r, z):item(), 1e-5)
  end)

  it("gives 0 with zero gradient where there are no pairs", function()
    for _, name in ipairs { "triplet", "ntxent", "supcon", "lifted", "circle", "nca", "n_pairs",
      "multi_similarity",
      "angular", "histogram", "fast_ap", "pnp", "tuplet_margin", "margin",
        "intra_pair_variance" } do
      for _, labels in ipairs { { 1, 2, 3, 4 }, { 1, 1, 1, 1 } } do
        local leaf = z:clone():requires_grad_()
        local loss = losses[name] { composed = true }(leaf, crun.int(labels))
        assert.is_true(loss:isfinite():item() == 1, name)
        loss:backward()
        local g = leaf:grad()
        assert.is_true(g:isfinite():all():item() == 1, name)
        if labels[2] == 2 and name ~= "multi_similarity" and name ~= "intra_pair_variance" then
          assert.equal(0, loss:item(), name)
          assert.equal(0, g:abs():sum():item(), name)
        end
      end
    end
    local empty = { crun.int {}, crun.int {}, crun.int {} }
    assert.equal(0, losses.triplet()(z, y, empty):item())
    assert.equal(0, losses.ntxent { composed = true }(crun.zeros(0, 3), crun.int {}):item())
  end)

  it("says what is wrong", function()
    local function fails(text, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    fails("relation: give labels, positives and negatives, or triplets", relation, {})
    fails("relation: labels must be an int tensor [B], or [B C] of 0 and 1, got [2]", relation,
      { labels = crun.zeros(2) })
    fails("relation: triplets must be a table of 3 lists, and perhaps weights, got 2 entries",
      relation,
      { triplets = { { 1 }, { 2 } } })
    fails("relation: positives must be lists of one length, got 1 and 2", relation,
      { positives = { { 1 }, { 1, 2 } } })
    fails("losses.triplet: row numbers of triplets must be in 1..4, got 5", losses.triplet(), z,
      relation { triplets = { { 1 }, { 5 }, { 2 } } })
    fails("losses.triplet: labels must have 4 entries, one for each row, got 2",
      losses.triplet { composed = true }, z,
      crun.int { 1, 2 })
    fails("losses.triplet: tuples must be { a, p, n } or { a, p, a2, n }, got 2 entries",
      losses.triplet(), z, y, { y, y })
    fails("losses.supcon: is no sum over pairs: it takes no weights of pairs or triplets",
      losses.supcon(), z,
      relation { positives = { { 1, 2 }, { 2, 1 }, { 1, 2 } }, negatives = { { 1 }, { 3 } } })
    fails("losses.nca: needs labels, this relation has none", losses.nca(), z,
      relation { triplets = { { 1 }, { 2 }, { 3 } } })
    fails("losses.triplet: unknown option 'margn'", losses.triplet, { margn = 1 })
  end)
end)
