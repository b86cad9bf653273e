-- Losses that own weights: lua/crun/proxy.lua over runtime/autograd/class_loss.c and its kin.
local crun = require "crun"
local proxy = require "crun.proxy"
local nn, optim = crun.nn, crun.optim
local native = crun.native.losses

local function near(want, got, tolerance)
  assert.near(want, got, (tolerance or 1e-5) * math.max(1, math.abs(want)))
end

local function close(a, b, tolerance)
  assert.is_true(crun.allclose(a:detach(), b:detach(), tolerance or 1e-5, tolerance or 1e-6))
end

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return (tostring(text):gsub("^[^:]*:%d+: ", ""))
end

local softmax = { "arcface", "cosface", "sphereface", "large_margin_softmax", "normalized_softmax", "proxy_nca",
  "p2sgrad", "subcenter_arcface", "soft_triple" }
local rows_of = { subcenter_arcface = 3, soft_triple = 10 }
local all = table.move(softmax, 1, #softmax, 1, { [10] = "proxy_anchor", [11] = "center" })

-- loss, gradients by z and by weights
local function run(name, options, z, labels, w, item_weights)
  local criterion = native[name](options)
  z, w = z:detach():clone():requires_grad_(), w:detach():clone():requires_grad_()
  local loss = criterion(z, labels, w, item_weights)
  loss:sum():backward()
  return loss, z:grad(), w:grad(), criterion.stats
end

describe("a loss over class weights", function()
  -- an embedding at 60 degrees from its own class and at 30 from the other
  local z = crun.tensor {{ 0, 2 }}
  local w = crun.tensor {{ math.sqrt(3) / 2, 0.5 }, { 0.5, math.sqrt(3) / 2 }}
  local own, other = 0.5, math.sqrt(3) / 2
  local function softmax_of(u, v) return math.log(math.exp(u) + math.exp(v)) - u end

  it("is worked by hand", function()
    local one = crun.int {1}
    near(softmax_of(4 * math.cos(math.rad(80)), 4 * other),
      (run("arcface", { margin = 20, scale = 4 }, z, one, w)):item())
    near(softmax_of(4 * (own - 0.25), 4 * other),
      (run("cosface", { margin = 0.25, scale = 4 }, z, one, w)):item())
    near(softmax_of(own / 0.5, other / 0.5),
      (run("normalized_softmax", { temperature = 0.5 }, z, one, w)):item())
    near(softmax_of(2 * own, 2 * other),
      (run("normalized_softmax", { temperature = 1, normalize = false }, z, one, w * 3)):item())
    -- |unit z - w|^2 = 2 - 2 cos
    near(softmax_of(-(2 - 2 * own), -(2 - 2 * other)), (run("proxy_nca", {}, z, one, w)):item())
    -- three times 60 degrees is pi: k = 1, -cos(pi) - 2 = -1
    near(softmax_of(2 * -1, 2 * other), (run("sphereface", { margin = 3 }, z, one, w)):item(), 1e-3)
    near(softmax_of(2 * 2 * -1, 2 * 2 * other),
      (run("large_margin_softmax", { margin = 3 }, z, one, w * 2)):item(), 1e-3)
    near(((own - 1) ^ 2 + other ^ 2) / 2, (run("p2sgrad", {}, z, one, w)):item())
    near(math.log(1 + math.exp(2 * (0.1 - own))) + math.log(1 + math.exp(2 * (other + 0.1))) / 2,
      (run("proxy_anchor", { alpha = 2, margin = 0.1 }, z, one, w)):item())
    near((3 / 4 + 1.5 ^ 2) / 2, (run("center", {}, z, one, w)):item())
  end)
  it("turns arcface round past pi - margin", function()
    local loss = run("arcface", { margin = 30, scale = 2 }, crun.tensor {{ -1, 0.1 }}, crun.int {1},
      crun.tensor {{ 1, 0 }, { 0, 1 }})
    local norm = math.sqrt(1.01)
    near(softmax_of(2 * (-1 / norm - math.rad(30) / 2), 2 * 0.1 / norm), loss:item())
  end)
  it("takes the best of its centres, or a soft choice of them", function()
    local centers = crun.cat({ w, w:flip(1) }, 1)       -- class 1: 60 and 30 degrees; class 2: 30 and 60
    local y = crun.int {1}
    near(softmax_of(3 * other, 3 * other),
      (run("subcenter_arcface", { margin = 0, scale = 3, sub_centers = 2 }, z, y, centers)):item())
    local a, b = math.exp(own / 0.5), math.exp(other / 0.5)
    local s = (a * own + b * other) / (a + b)
    near(softmax_of(3 * (s - 0.1), 3 * s), (run("soft_triple",
      { la = 3, gamma = 0.5, margin = 0.1, centers_per_class = 2 }, z, y, centers)):item())
  end)
  it("agrees with operators, whatever the number of tiles", function()
    local rng = crun.rng(3, "tiles")
    local B, C, D = 700, 300, 5                         -- 436 rows make a tile
    local x, v, y = crun.randn(rng, B, D), crun.randn(rng, C, D), crun.randint(rng, C, B)
    local zl, wl = x:clone():requires_grad_(), v:clone():requires_grad_()
    local cosine = zl:normalize():matmul(wl:normalize(), { transpose_y = true })
    local logits = (cosine - crun.one_hot(y, { classes = C }) * 0.3) * 8
    local want = crun.losses.cross_entropy {} (logits, y)
    want:backward()
    local loss, gz, gw = run("cosface", { margin = 0.3, scale = 8 }, x, y, v)
    near(want:item(), loss:item())
    close(zl:grad(), gz, 1e-4)
    close(wl:grad(), gw, 1e-4)
  end)
  it("gives its rows' losses, and the same gradient by way of them", function()
    local rng = crun.rng(4, "rows")
    local x, y, weight = crun.randn(rng, 8, 5), crun.randint(rng, 4, 8), crun.rand(rng, 8)
    for _, name in ipairs(all) do
      local v = crun.randn(rng, 4 * (rows_of[name] or 1), 5)
      local rows, gz, gw = run(name, { reduction = "none" }, x, y, v, weight)
      local sum, sz, sw = run(name, { reduction = "sum" }, x, y, v, weight)
      near(sum:item(), rows:sum():item())
      close(sz, gz, 1e-4)
      close(sw, gw, 1e-4)
      if name ~= "proxy_anchor" then
        near(sum:item() / 8, (run(name, {}, x, y, v, weight)):item())
      end
    end
  end)
  it("does not mind the order of the batch", function()
    local rng = crun.rng(5, "order")
    local x, y, order = crun.randn(rng, 9, 4), crun.randint(rng, 3, 9), crun.randperm(rng, 9)
    for _, name in ipairs(all) do
      local v = crun.randn(rng, 3 * (rows_of[name] or 1), 4)
      local a, gx = run(name, {}, x, y, v)
      local b, gy = run(name, {}, x:index_select(order), y:index_select(order), v)
      near(a:item(), b:item())
      close(gx:index_select(order), gy, 1e-4)
    end
  end)
  it("is 0 for an empty batch, and for a single class", function()
    for _, name in ipairs(all) do
      local v = crun.ones(2 * (rows_of[name] or 1), 3)
      local loss, _, gw = run(name, {}, crun.zeros(0, 3), crun.zeros(0):int(), v)
      assert.equal(0, loss:item(), name)
      assert.equal(0, gw:abs():amax():item(), name)
      if name ~= "proxy_anchor" and name ~= "center" and name ~= "p2sgrad" then
        local alone = run(name, {}, crun.ones(2, 3), crun.int {1, 1},
          crun.ones(rows_of[name] or 1, 3))
        assert.equal(0, alone:item(), name)
      end
    end
  end)
  it("has finite gradients from finite input", function()
    local y = crun.int {1, 2, 2}
    local inputs = {
      { crun.tensor {{ 1, 0 }, { -1, 0 }, { 0, 1 }}, crun.tensor {{ 1, 0 }, { 1, 0 }} },   -- along weights
      { crun.zeros(3, 2), crun.tensor {{ 1, 0 }, { 0, 1 }} },
      { crun.ones(3, 2), crun.zeros(2, 2) },
      { crun.full({ 3, 2 }, 1e4), crun.full({ 2, 2 }, -1e4) },
    }
    for _, name in ipairs(all) do
      for _, pair in ipairs(inputs) do
        local v = pair[2]:repeat_interleave(rows_of[name] or 1, { dim = 1 })
        local loss, gz, gw = run(name, {}, pair[1], y, v)
        for _, t in ipairs { loss, gz, gw } do assert.equal(1, crun.isfinite(t):all():item(), name) end
      end
    end
    -- 1e4 against a temperature of 1e-4
    local loss = run("normalized_softmax", { temperature = 1e-4, normalize = false },
      crun.tensor {{ 1e4, 0 }}, crun.int {2}, crun.eye(2))
    near(1e8, loss:item())
  end)
  it("is nan for nan", function()
    for _, name in ipairs(softmax) do
      local x = crun.ones(2, 3)
      x[1] = crun.full({ 3 }, 0 / 0)
      local loss = run(name, {}, x, crun.int {1, 1}, crun.ones(2 * (rows_of[name] or 1), 3))
      assert.is_true(loss:item() ~= loss:item(), name)
    end
  end)
  it("has the same bits for any number of threads", function()
    local rng = crun.rng(6, "threads")
    local x, y = crun.randn(rng, 400, 16), crun.randint(rng, 60, 400)
    for _, name in ipairs(all) do
      local v = crun.randn(rng, 60 * (rows_of[name] or 1), 16)
      local before = crun.threads()
      crun.threads(1)
      local a, ga, wa = run(name, {}, x, y, v)
      crun.threads(3)
      local b, gb, wb = run(name, {}, x, y, v)
      crun.threads(before)
      assert.equal(a:item(), b:item())
      assert.equal(1, ga:eq(gb):all():item(), name)
      assert.equal(1, wa:eq(wb):all():item(), name)
    end
  end)
  it("tells how the batch stands", function()
    local _, _, _, stats = run("arcface", {}, crun.tensor {{ 1, 0 }, { 1, 0.1 }}, crun.int {1, 2}, crun.eye(2))
    near(0.5, stats.accuracy)
    near((0 + 1 - 0.1 / math.sqrt(1.01)) / 2, stats.positive_distance)
  end)
  it("says what is wrong", function()
    local x, v = crun.ones(2, 3), crun.ones(4, 3)
    assert.equal("losses.arcface: labels are class numbers from 1 to 4, got 5 in row 2",
      message(native.arcface {}, x, crun.int {1, 5}, v))
    assert.equal("losses.subcenter_arcface: weights must have 3 rows for each class, got 4 rows",
      message(native.subcenter_arcface {}, x, crun.int {1, 1}, v))
    assert.equal('losses.proxy_anchor: squared is for distance = "euclidean" or "manhattan", got "cosine"',
      message(native.proxy_anchor { squared = true }, x, crun.int {1, 1}, v))
    assert.equal('losses.normalized_softmax: normalize = false is for distance = "dot"',
      message(native.normalized_softmax { normalize = false, distance = "cosine" }, x, crun.int {1, 1}, v))
    assert.truthy(message(native.cosface {}, x, crun.int {1, 1}, crun.ones(4, 2)):find("D = 3", 1, true))
  end)
end)

describe("a loss that owns its weights", function()
  it("is a module with the loss's options and statistics as fields", function()
    local criterion = crun.losses.arcface { classes = 5, dim = 4, margin = 20 }
    assert.equal(20, criterion.margin)
    criterion.margin = 10
    assert.equal(10, criterion.margin)
    assert.truthy(message(function() criterion.margin = 200 end):find("margin", 1, true))
    assert.same({ "weight" }, select(2, criterion:parameters()))
    assert.same({ 5, 4 }, criterion.weight:shape())
    criterion(crun.ones(2, 4), crun.int {1, 2})
    assert.truthy(criterion.stats.accuracy)
    assert.equal("arcface(5 classes of width 4)  20 parameters", tostring(criterion))
  end)
  it("draws its weights from nn.rng, and keeps them in its state", function()
    nn.seed(7)
    local a = crun.losses.proxy_nca { classes = { 3, 5 }, dim = 4 }
    nn.seed(7)
    local b = crun.losses.proxy_nca { classes = { 3, 5 }, dim = 4 }
    assert.equal(1, a.weight:eq(b.weight):all():item())
    local c = crun.losses.proxy_nca { classes = { 8, 9 }, dim = 4 }
    c(crun.ones(1, 4), crun.int {8})
    c:load((a:state()))
    assert.same({ 3, 5 }, c:class_map())
    local z = crun.ones(2, 4)
    near(a(z, crun.int {5, 3}):item(), c(z, crun.int {5, 3}):item())
    assert.truthy(message(c, z, crun.int {8, 9}):find("label 8 in row 1 is none of the 2 classes", 1, true))
  end)
  it("maps any labels to classes", function()
    local z, w = crun.randn(crun.rng(1, "map"), 4, 3), crun.randn(crun.rng(2, "map"), 3, 3)
    local named = crun.losses.cosface { classes = { 70, -5, 9007199254740993, 70 }, weights = w }
    local plain = crun.losses.cosface { weights = w }
    near(plain(z, crun.int {1, 2, 3, 1}):item(),
      named(z, crun.int {-5, 70, 9007199254740993, -5}):item())
    assert.same({ -5, 70, 9007199254740993 }, named:class_map())
    assert.equal("losses.cosface: labels must be in 1..3, got 0; others are named, as in classes = { 0, 1 }",
      message(plain, z, crun.int {0, 1, 2, 3}))
  end)
  it("must be in an optimiser by the first step", function()
    local net, criterion = nn.Linear(3, 3), crun.losses.arcface { classes = 2, dim = 3 }
    local opt = optim.SGD(net, { lr = 0.1 })
    local function step(o)
      criterion(net(crun.ones(2, 3)), crun.int {1, 2}):backward()
      o:step()
    end
    assert.truthy(message(step, opt):find(
      "losses.arcface: its weights are learnable and in no optimiser", 1, true))
    step(optim.SGD({ net, criterion }, { lr = 0.1 }))
    step(opt)                                             -- it is in one now
    local frozen = crun.losses.arcface { classes = 2, dim = 3 }
    frozen:requires_grad_(false)
    frozen(net(crun.ones(2, 3)), crun.int {1, 2}):backward()
    opt:step()
  end)
  it("may have a learning rate of its own", function()
    local net = nn.Linear(3, 3)
    local criterion = crun.losses.arcface { classes = 2, dim = 3, lr_scale = 10 }
    local opt = optim.SGD({ net, criterion }, { lr = 0.5 })
    assert.equal(2, #opt.groups)
    assert.same({ 0.5, 5 }, { opt.groups[1].lr, opt.groups[2].lr })
  end)
  it("learns", function()
    local rng = crun.rng(9, "learns")
    local centers = crun.randn(rng, 4, 6)
    for _, name in ipairs(all) do
      local net = nn.Linear(6, 6)
      local criterion = crun.losses[name] { classes = 4, dim = 6 }
      local opt = optim.Adam({ net, criterion }, { lr = 0.03 })
      local first, last
      for _ = 1, 60 do
        local y = crun.randint(rng, 4, 32)
        local loss = criterion(net(centers:index_select(y) + crun.randn(rng, 32, 6) * 0.2), y)
        opt:zero_grad()
        loss:backward()
        opt:step()
        first, last = first or loss:item(), loss:item()
      end
      assert.is_true(last < 0.7 * first, ("%s: %g -> %g"):format(name, first, last))
    end
  end)
  it("weighs items by what a miner returned, or by a tensor", function()
    local rng = crun.rng(8, "weights")
    local z, y, w = crun.randn(rng, 4, 3), crun.int {1, 1, 2, 2}, crun.randn(rng, 2, 3)
    local criterion = crun.losses.cosface { weights = w }
    -- row 1 twice, rows 2, 3 and 4 once, 2, 1 of them
    local want = criterion(z, y, crun.tensor { 1, 0.5, 1, 0.5 }):item()
    near(want, criterion(z, y, { crun.int {1, 1}, crun.int {2, 3}, crun.int {3, 4} }):item())
  end)
  it("takes reducers and regularisers", function()
    local rng = crun.rng(10, "reducers")
    local z, y, w = crun.randn(rng, 6, 3), crun.int {1, 2, 3, 1, 2, 3}, crun.randn(rng, 3, 3)
    local rows = native.cosface { reduction = "none" } (z, y, w):totable()
    local sum, n = 0, 0
    for _, l in ipairs(rows) do if l > 20 then sum, n = sum + l, n + 1 end end
    local criterion = crun.losses.cosface { weights = w, reducer = crun.reducers.threshold { low = 20 } }
    near(n > 0 and sum / n or 0, criterion(z, y):item())
    local priced = crun.losses.cosface { weights = w, weight_regularizer = { crun.regularizers.lp {}, 0.5 } }
    near(native.cosface {} (z, y, w):item() + 0.5 * w:norm { dim = 2 }:mean():item(), priced(z, y):item())
  end)
  it("says what is wrong", function()
    assert.equal("losses.arcface: dim is missing: the width of the embeddings",
      message(crun.losses.arcface, { classes = 3 }))
    assert.equal("losses.arcface: unknown option 'margn'; did you mean 'margin'?",
      message(crun.losses.arcface, { classes = 3, dim = 2, margn = 1 }))
    assert.equal("losses.soft_triple: weights must have shape [20, 2], got [3, 2]",
      message(crun.losses.soft_triple, { classes = 2, weights = crun.ones(3, 2) }))
    assert.equal("losses.arcface: reducer is for a loss that owns its weights: give classes, dim, weights",
      message(crun.losses.arcface, { reducer = "mean" }))
    local criterion = crun.losses.arcface { classes = 3, dim = 2 }
    assert.equal("losses.arcface: labels must be an int tensor [B], got a tensor",
      message(criterion, crun.ones(2, 2), crun.ones(2)))
  end)
end)

describe("losses.subcenter_arcface", function()
  it("finds rows far from the dominant centre of their class", function()
    local w = crun.tensor {{ 1, 0 }, { 0, 1 }, { -1, 0 }, { 0, -1 }}
    local criterion = crun.losses.subcenter_arcface { classes = 2, weights = w, sub_centers = 2 }
    local z = crun.tensor {{ 1, 0.1 }, { 2, 0 }, { 0.1, 1 }, { 0, -3 }, { 0, -1 }}
    local rows, centers = criterion:get_outliers(z, crun.int {1, 1, 1, 2, 2})
    assert.same({ 3 }, rows:totable())
    assert.same({ { 1, 0 }, { 0, -1 } }, centers:totable())
    rows, centers = criterion:get_outliers(z:narrow(1, 4, 2), crun.int {2, 2}, { threshold = 10 })
    assert.equal(0, #rows)
    assert.same({ 0, 0 }, centers:totable()[1])
  end)
end)

describe("losses.p2sgrad", function()
  it("keeps its weights at norm 1", function()
    local criterion = crun.losses.p2sgrad { classes = 3, weights = crun.full({ 3, 4 }, 2) }
    criterion(crun.ones(1, 4), crun.int {1})
    near(1, criterion.weight:norm { dim = 2 }:amin():item())
  end)
end)

describe("losses.center", function()
  local z, y = crun.tensor {{ 1, 1 }, { 3, 1 }, { 0, 0 }}, crun.int {1, 1, 2}
  it("moves its centres by its own rule, in training and with gradients", function()
    local criterion = crun.losses.center { classes = 3, weights = crun.zeros(3, 2), alpha = 0.5 }
    assert.equal(0, #criterion:parameters())
    criterion(z, y)
    assert.equal(0, criterion.weight:abs():amax():item())
    local leaf = z:clone():requires_grad_()
    local loss = criterion(leaf, y)
    loss:backward()                                        -- after the centres moved
    near((2 + 10) / 2 / 3, loss:item())
    close(z / 3, leaf:grad())
    -- c - 0.5 (0 - 1 + 0 - 3) / 3, likewise by the second coordinate
    close(crun.tensor {{ 2 / 3, 1 / 3 }, { 0, 0 }, { 0, 0 }}, criterion.weight)
    criterion:eval()
    criterion(leaf, y)
    close(crun.tensor {{ 2 / 3, 1 / 3 }, { 0, 0 }, { 0, 0 }}, criterion.weight)
    assert.truthy(criterion:state().weight)
  end)
  it("may learn them by gradient", function()
    local criterion = crun.losses.center { classes = 2, dim = 2, learn = true }
    assert.equal(1, #criterion:parameters())
  end)
end)

describe("losses.skip_gram", function()
  it("is worked by hand, and touches only what is named", function()
    local v = crun.tensor {{ 1, 0 }, { 5, 5 }}:requires_grad_()
    local u = crun.tensor {{ 2, 0 }, { -1, 3 }, { 9, 9 }}:requires_grad_()
    local loss = native.skip_gram {} (v, u, crun.int {1}, crun.int {1}, crun.int {{ 2, 2 }})
    loss:backward()
    near(math.log(1 + math.exp(-2)) + 2 * math.log(1 + math.exp(-1)), loss:item())
    local pull, push = -1 / (1 + math.exp(2)), 1 / (1 + math.exp(1))
    close(crun.tensor {{ 2 * pull - 2 * push, 6 * push }, { 0, 0 }}, v:grad())
    close(crun.tensor {{ pull, 0 }, { 2 * push, 0 }, { 0, 0 }}, u:grad())
  end)
  it("refuses words that are not there", function()
    assert.equal("losses.skip_gram: negatives are row numbers of output_table, from 1 to 3, got 4",
      message(native.skip_gram {}, crun.ones(2, 2), crun.ones(3, 2), crun.int {1}, crun.int {1}, crun.int {{ 4 }}))
  end)
  it("draws negatives by how often words come, and learns", function()
    local words = crun.losses.skip_gram { words = 4, dim = 6, counts = { 81, 16, 0, 1 }, negatives = 10,
      rng = crun.rng(1, "negatives") }
    local share = crun.bincount(words:draw(2000):reshape(20000), { minlength = 4 }):real() / 20000
    close(crun.tensor { 27 / 36, 8 / 36, 0, 1 / 36 }, share, 0.02)
    local opt = optim.Adam(words, { lr = 0.05 })
    local first, last
    for _ = 1, 100 do
      local loss = words(crun.int {1, 2, 3, 4}, crun.int {2, 1, 4, 3})
      opt:zero_grad()
      loss:backward()
      opt:step()
      first, last = first or loss:item(), loss:item()
    end
    assert.is_true(last < 0.7 * first, first .. " -> " .. last)
  end)
end)

describe("losses.nce", function()
  it("is skip_gram where the noise is 1 / K", function()
    local rng = crun.rng(2, "nce")
    local x, w, y, k = crun.randn(rng, 5, 3), crun.randn(rng, 4, 3), crun.randint(rng, 4, 5), crun.randint(rng, 4, 5, 2)
    near(native.skip_gram {} (x, w, crun.arange(1, 5), y, k):item(),
      native.nce {} (x, y, w, k, crun.full({ 4 }, -math.log(2))):item())
  end)
  it("owns weights and a bias, and learns the classes of any labels", function()
    local rng = crun.rng(3, "nce")
    local centers = crun.randn(rng, 3, 4) * 2
    local head = crun.losses.nce { classes = { 10, 20, 30 }, dim = 4, negatives = 8, rng = crun.rng(4, "draw") }
    local opt = optim.Adam(head, { lr = 0.1 })
    for _ = 1, 150 do
      local y = crun.randint(rng, 3, 32)
      local loss = head(centers:index_select(y), y * 10)
      opt:zero_grad()
      loss:backward()
      opt:step()
    end
    local scores = centers:matmul(head.weight:detach(), { transpose_y = true }) + head.bias:detach()
    assert.same({ 1, 2, 3 }, scores:argmax(2):totable())
    -- it comes near a distribution without having been divided by its sum
    near(0, scores:logsumexp(2):abs():amax():item(), 0.5)
  end)
end)

describe("losses.class_simplex", function()
  it("is 0 at its vertices, which are as far apart as can be", function()
    -- three classes in the plane: 120 degrees apart
    local half, high = -0.5, math.sqrt(3) / 2
    local v = crun.tensor {{ 1, 0, 0 }, { half, high, 0 }, { half, -high, 0 }}
    local criterion = crun.losses.class_simplex { classes = 3 }
    near(0, criterion(v, crun.int {1, 2, 3}):item())
    assert.equal(1, criterion.stats.accuracy)
    near((3 + 4) / 6, criterion(crun.tensor {{ half, high, 0 }, { -1, 0, 0 }}, crun.int {1, 1}):item())
    assert.equal(0, criterion.stats.accuracy)
    assert.equal("losses.class_simplex: embeddings of 3 classes must have a width of 2 or more, got 1",
      message(criterion, crun.ones(1, 1), crun.int {1}))
  end)
end)
