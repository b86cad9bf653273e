local crun = require "crun"

local function run(options, x, labels, ...)
  local criterion = crun.losses.contrastive(options)
  x = x:detach():clone():requires_grad_()
  local loss = criterion(x, labels, ...)
  loss:backward()
  return loss:item(), x:grad(), criterion.stats
end

local function near(want, got) assert.near(want, got, 1e-5 * math.max(1, math.abs(want))) end

describe("losses.contrastive", function()
  -- d = 5 for the positive pair, 1 and sqrt(18) for the negative ones
  local x, labels = crun.tensor {{0, 0}, {3, 4}, {0, 1}}, crun.int {1, 1, 2}

  it("is worked by hand, variant by variant", function()
    near((25 / 2 + 1 / 2) / 3, (run({ margin = 2 }, x, labels)))
    near((25 / 2 + 1) / 3, (run({ margin = 2, variant = "seed" }, x, labels)))
    near(4 + 1, (run({ variant = "pml", pos_margin = 1, neg_margin = 2 }, x, labels)))
    near(25 + 4 * (math.exp(-2.77 / 2) + math.exp(-2.77 * math.sqrt(18) / 2)),
         (run({ variant = "chopra2005", Q = 2, reduction = "sum" }, x, labels)))
  end)
  it("reduces as told", function()
    near(25 / 2 + 1 / 2, (run({ margin = 2, reduction = "sum" }, x, labels)))
    near(25 / 2 + 1 / 4, (run({ margin = 2, reduction = "sides" }, x, labels)))
    near(25 / 2 + 1 / 2, (run({ margin = 2, reduction = "nonzero" }, x, labels)))
  end)
  it("tells how the batch stands", function()
    local _, _, stats = run({ margin = 2 }, x, labels)
    near(2 / 3, stats.active)
    near(5, stats.positive_distance)
    near((1 + math.sqrt(18)) / 2, stats.negative_distance)
    assert.equal(1, stats.positive_pairs)
    assert.equal(2, stats.negative_pairs)
  end)
  it("has gradient rows that sum to zero", function()      -- it depends on differences only
    local rng = crun.rng(2, "sum")
    local _, grad = run({ margin = 3 }, crun.randn(rng, 40, 5), crun.randint(rng, 4, 40))
    assert.truthy(grad:sum(1):abs():amax():item() < 1e-6)
  end)
  it("is worked out the same in one tile and in many, over pairs and over references", function()
    local rng = crun.rng(3, "tiles")
    local n = 700                               -- 187 rows make a tile
    local many, y = crun.randn(rng, n, 3), crun.randint(rng, 5, n)
    for _, options in ipairs { { margin = 2 }, { variant = "pml", neg_margin = 2 } } do
      local d = crun.cdist(many)
      local same = crun.eq(y:reshape(n, 1), y:reshape(1, n)):real()
      local pos, neg = same - crun.eye(n), 1 - same
      local gap = crun.relu(2 - d)
      local want
      if options.variant then
        want = (d * pos):sum():item() / pos:sum():item() + (gap * neg):sum():item() / crun.gt(gap * neg, 0):real():sum():item()
      else
        want = ((d * d * pos):sum():item() + (gap * gap * neg):sum():item()) / 2 / (n * (n - 1))
      end
      near(want, (run(options, many, y)))
    end
    local loss = run({ margin = 2, reduction = "sum" }, many, y)
    local against = run({ margin = 2, reduction = "sum" }, many, y, many, y)   -- each pair twice, each row with itself
    near(2 * loss, against)
  end)
  it("has gradient 0 for a negative pair at distance 0, and is nan for nan", function()
    local loss, grad = run({ margin = 1 }, crun.zeros(2, 3), crun.int {1, 2})
    near(0.5, loss)
    assert.equal(0, grad:abs():amax():item())
    loss = run({}, crun.tensor {{0 / 0}, {1}}, crun.int {1, 2})
    assert.truthy(loss ~= loss)
  end)
  it("is 0 for a batch without pairs", function()
    assert.equal(0, (run({}, crun.ones(1, 3), crun.int {1})))
  end)
end)
