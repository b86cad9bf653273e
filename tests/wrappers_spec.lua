local crun = require "crun"
local losses, loss = crun.losses, crun.loss

local function random(seed, B, D) return crun.randn(crun.rng(seed, "wrappers"), B, D) end

describe("losses.multiple", function()
  local z, y = random(1, 6, 4), crun.int { 1, 1, 2, 2, 3, 3 }
  local a, b = losses.triplet {}, losses.ntxent {}

  it("adds losses by weight, and keeps them apart for a look", function()
    local both = losses.multiple { losses = { a, b }, weights = { 2, 0.5 } }
    assert.near(2 * a(z, y):item() + 0.5 * b(z, y):item(), both(z, y):item(), 1e-5)
    assert.near(b(z, y):item(), both.values[2]:item(), 1e-6)
  end)

  it("has each loss its miner", function()
    local both = losses.multiple { losses = { a, a }, miners = { false,
      crun.miners.batch_hard {} } }
    local want = a(z, y):item() + a(z, y, crun.miners.batch_hard {}(z, y)):item()
    assert.near(want, both(z, y):item(), 1e-5)
  end)

  it("hands on learnable tensors and states", function()
    local m = losses.margin { learn_beta = true, classes = 3 }
    local both = losses.multiple { losses = { a, m } }
    local tensors, names = both:parameters()
    assert.same({ "2.beta" }, names)
    local opt = crun.optim.SGD(both, { lr = 0.1 })
    local before = tensors[1]:clone()
    both(z, y):backward()
    opt:step()
    assert.is_true((tensors[1] - before):abs():sum():item() > 0)
    local other = losses.multiple { losses = { a, losses.margin { learn_beta = true,
      classes = 3 } } }
    other:load(both:state())
    assert.same(tensors[1]:totable(), other:parameters()[1]:totable())
  end)

  it("says what is wrong", function()
    local function fails(text, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    fails("losses.multiple: weights must be 2 numbers, one for each loss, got 1", losses.multiple,
      { losses = { a, b }, weights = { 1 } })
    fails("losses.multiple: loss 1 must be a criterion, got 3", losses.multiple, { losses = { 3 } })
    fails("losses.multiple: losses must be a list of criteria, got none", losses.multiple,
      { losses = {} })
  end)
end)

describe("losses.self_supervised", function()
  it("is one batch of both views, or queries against the second", function()
    local x, w = random(2, 4, 3), random(3, 4, 3)
    local inner, k = losses.ntxent {}, crun.arange(1, 4)
    assert.near(inner(crun.cat { x, w }, crun.cat { k, k }):item(),
      losses.self_supervised { loss = inner }(x, w):item(), 1e-6)
    assert.near(inner(x, k, w, k):item(),
      losses.self_supervised { loss = inner, symmetric = false }(x, w):item(), 1e-6)
  end)
end)

describe("losses.matryoshka", function()
  it("is the loss of each prefix", function()
    local z, y, inner = random(4, 6, 8), crun.int { 1, 1, 2, 2, 3, 3 }, losses.supcon {}
    local m = losses.matryoshka { loss = inner, dims = { 2, 8 }, weights = { 0.5, 1 } }
    local want = 0.5 * inner(z:narrow(2, 1, 2):contiguous(), y):item() + inner(z, y):item()
    assert.near(want, m(z, y):item(), 1e-5)
    local leaf = z:clone():requires_grad_()
    m(leaf, y):backward()
    assert.is_true(leaf:grad():isfinite():all():item() == 1)
    local ok, message = pcall(losses.matryoshka { loss = inner, dims = { 9 } }, z, y)
    assert.is_false(ok)
    assert.truthy(message:find("a width must be in 1..8, that of the embeddings, got 9", 1, true),
      message)
  end)
end)

describe("losses.cross_batch_memory", function()
  local function make(size, more)
    local o = { loss = losses.contrastive { variant = "pml", reducer = "sum" }, dim = 2,
      size = size }
    for key, value in pairs(more or {}) do o[key] = value end
    return losses.cross_batch_memory(o)
  end

  it("is worked by hand", function()
    local c = make(3)
    -- (0,0) and (3,4), one class: the queue is the batch, a row's own copy is not compared
    assert.near(5 + 5, c(crun.tensor { { 0, 0 }, { 3, 4 } }, crun.int { 1, 1 }):item(), 1e-5)
    -- (0, 0.5) of another class takes the last place; then (0, 0.25) the first
    assert.near(0.5, c(crun.tensor { { 0, 0.5 } }, crun.int { 2 }):item(), 1e-5)
    local state = c:state()
    assert.equal(0, state.cursor)
    assert.is_true(state.full)
    assert.near(0.25, c(crun.tensor { { 0, 0.25 } }, crun.int { 2 }):item(), 1e-5)
    assert.same({ { 0, 0.25 }, { 3, 4 }, { 0, 0.5 } }, c:state().memory:totable())
    assert.same({ 2, 1, 2 }, c:state().labels:totable())
  end)

  it("goes on from its state as if never stopped", function()
    local a, b = make(7), nil
    for step = 1, 6 do
      if step == 4 then
        b = make(7)
        b:load(a:state())
      end
      local z, y = random(step, 3, 2), crun.int { 1, 2, 1 }
      local want = a(z, y):item()
      if b then assert.equal(want, b(z, y):item()) end
    end
    assert.same(a:state().memory:totable(), b:state().memory:totable())
  end)

  it("sends the gradient to the batch alone", function()
    local c = make(8)
    c(random(1, 3, 2), crun.int { 1, 2, 1 })
    local z = random(2, 3, 2):requires_grad_()
    c(z, crun.int { 1, 1, 2 }):backward()
    assert.is_true(z:grad():abs():sum():item() > 0)
    assert.is_false(c:state().memory:wants_grad())
  end)

  it("queues only the rows that are named, and compares the others", function()
    local c = make(4)
    local z, y = crun.tensor { { 0, 0 }, { 3, 4 } }, crun.int { 1, 1 }
    assert.near(5, c(z, y, nil, { 2 }):item(), 1e-5)
    assert.equal(1, c:state().cursor)
    assert.near(10, c(z, y, nil, crun.int { 0, 1 }:gt(0)):item(), 1e-5)
  end)

  it("says what is wrong", function()
    local ok, message = pcall(make(2), random(1, 3, 2), crun.int { 1, 2, 1 })
    assert.is_false(ok)
    assert.truthy(message:find("a batch of 3 does not fit into a queue of 2", 1, true), message)
    ok, message = pcall(make(2), random(1, 2, 3), crun.int { 1, 2 })
    assert.is_false(ok)
    assert.truthy(message:find("embeddings must be a tensor [B 2]", 1, true), message)
  end)
end)

describe("crun.loss", function()
  -- the example of the documentation, word for word
  local mylosses = { circle = crun.loss.define {
    options = { m = 0.25, gamma = 64 },
    forward = function(self, z, labels)               -- autograd does the rest
      local s = z:mm(z:t()); local same = crun.tensor.same(labels):diag_(false)
      local ap = (1 + self.m - s:detach()):relu(); local an = (s:detach() + self.m):relu()
      local lp = (-self.gamma * ap * (s - (1 - self.m))):masked_logsumexp(same, { dim = 2 })
      local ln = ( self.gamma * an * (s - self.m)):masked_logsumexp(same:logical_not():diag_(false),
        { dim = 2 })
      return (lp + ln):softplus():mean()
    end } }

  it("defines a loss in a few lines", function()
    local z, y = random(5, 6, 4):normalize():detach(), crun.int { 1, 1, 2, 2, 3, 3 }
    local mine, theirs = mylosses.circle { gamma = 16 }, losses.circle { m = 0.25, gamma = 16,
      reduction = "mean" }
    assert.near(theirs(z, y):item(), mine(z, y):item(), 1e-4)
    local a, b = z:clone():requires_grad_(), z:clone():requires_grad_()
    mine(a, y):backward()
    -- the fused one normalises: its gradient has no part along a row
    theirs(b, y):backward()
    local along = a:grad() - z * (a:grad() * z):sum(2):unsqueeze(2)
    assert(crun.allclose(along, b:grad(), 1e-3, 1e-4))
    mine.gamma = 4
    assert.equal(4, mine.gamma)
  end)

  it("lists and describes one with a name, and makes it by name", function()
    local calls = 0
    local function own(opts)
      return loss.define { name = "own_norm", help = "the mean norm", formula = "mean |z|",
        options = opts,
        forward = function(self, z) calls = calls + 1; return z:norm { dim = 2 }:mean() *
          self.factor end }
    end
    own { factor = { "number", 2, least = 0 } }
    local z = crun.tensor { { 3, 4 } }
    assert.equal(10, losses.own_norm {}(z):item())
    assert.equal(15, loss.make { name = "own_norm", factor = 3 }(z):item())
    local listed = false
    for _, name in ipairs(loss.names()) do listed = listed or name == "own_norm" end
    assert.is_true(listed)
    local d = loss.describe "own_norm"
    assert.equal("the mean norm", d.help)
    assert.same({ name = "factor", kind = "number", default = 2, least = 0 }, d.options[1])
    assert.equal(2, calls)
    loss.defined.own_norm = nil
  end)

  it("owns parameters as a module does", function()
    local centre = loss.define { init = function(self) self.centre = crun.nn.parameter(crun.zeros(2)) end,
      forward = function(self, z) return (z - self.centre):square():sum() end }
    local c = centre()
    assert.same({ "centre" }, select(2, c:parameters()))
    local opt = crun.optim.SGD(c, { lr = 0.25 })
    c(crun.tensor { { 1, 2 } }):backward()
    opt:step()
    assert.same({ 0.5, 1 }, c.centre:totable())
  end)

  it("makes a group of settings", function()
    local group = loss.option("triplet", { margin = 0.3 })
    assert.equal("triplet", group.name[1])
    assert.equal(0.3, group.margin[1])
    local cfg = crun.config and require "crun.config".resolve({ loss = group },
      { "loss.margin=0.5" })
    local made = loss.make(cfg.loss)
    assert.equal(0.5, made.margin)
  end)

  it("says what is wrong", function()
    local function fails(text, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    fails("unknown option 'gama'; did you mean 'gamma'?", mylosses.circle, { gama = 1 })
    fails("loss.define: forward is missing; it must be a function", loss.define, {})
    fails("loss.define: the name 'triplet' belongs to a built-in loss", loss.define,
      { name = "triplet", forward = function() end })
    fails("forward must return a tensor of one number, got nothing",
      loss.define { forward = function() end }(), random(1, 2, 2))
    fails("there is no loss 'tripplet', did you mean 'triplet'?", loss.make, "tripplet")
    fails("loss.option: the loss triplet has no option 'margn'", loss.option, "triplet",
      { margn = 1 })
  end)
end)

describe("a criterion", function()
  local z, y = random(6, 6, 3), crun.int { 1, 1, 2, 2, 3, 3 }

  it("takes a distance as a name or an object, and back", function()
    local c = losses.triplet { distance = crun.distances.lp { power = 2, normalize = true } }
    assert.is_true(c.squared)
    assert.near(losses.triplet { squared = true, normalize = true }(z, y):item(), c(z, y):item(), 1e-6)
    c.distance = crun.distances.lp { p = 3 }
    local cubic = c(z, y):item()
    c.distance = "cosine"
    assert.is_true(math.abs(cubic - c(z, y):item()) > 1e-4)
    assert.near(losses.triplet { distance = "cosine", composed = true }(z, y):item(),
      losses.triplet { distance = crun.distances.cosine() }(z, y):item(), 1e-5)
  end)

  it("takes a reducer as a name or an object, fused where it can", function()
    local c = losses.triplet { reducer = "mean" }
    assert.equal("mean", c.reduction)
    assert.near(losses.triplet { reduction = "mean" }(z, y):item(), c(z, y):item(), 1e-6)
    local t = losses.triplet { reducer = crun.reducers.threshold { low = 0.5 } }
    assert.is_true(t(z, y):item() > 0.5)
  end)

  it("shows statistics in either form", function()
    local fused, composed = losses.contrastive { variant = "pml" }, losses.contrastive { variant = "pml", composed = true }
    fused(z, y)
    composed(z, y)
    for _, name in ipairs { "active", "positive_distance", "negative_distance" } do
      assert.near(fused.stats[name], composed.stats[name], 1e-4)
    end
  end)

  it("is described when it holds others", function()
    local d = loss.describe "matryoshka"
    assert.equal("a loss on prefixes of the embedding", d.help)
    assert.equal("dims", d.options[1].name)
  end)
end)
