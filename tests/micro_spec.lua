-- Gradients of a batch in pieces are those of the whole batch.
local crun = require "crun"
local micro = require "crun.micro"
local nn = crun.nn
local near = crun.precision == "float64" and 1e-12 or 2e-6

local labels = crun.int { 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5 }
local B = #labels

local function images(tag) return crun.randn(crun.rng(3, tag or "images"), B, 1, 8, 8) end

local function network()
  nn.seed(4)
  return nn.Sequential {
    nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(), nn.Dropout(0.4), nn.Linear(216, 10), nn.Tanh(),
    nn.Dropout(0.2), nn.Linear(10, 5),
  }
end

-- gradients of a network after f(net), and the steps of its dropout
local function after(f, net)
  net = net or network()
  local loss = f(net)
  local grads, steps = {}, {}
  for i, p in ipairs((net:parameters())) do grads[i] = p:grad():clone() end
  for _, m in ipairs((net:modules())) do if m.step then steps[#steps + 1] = m.step[1] end end
  return loss:item(), grads, steps
end

local function same(want, got)
  assert.near(want[1], got[1], near * math.max(1, math.abs(want[1])))
  assert.equal(#want[2], #got[2])
  for i, g in ipairs(want[2]) do
    assert.is_true(crun.allclose(got[2][i], g, 1e-4, near * math.max(1, g:abs():max():item())))
  end
  assert.same(want[3], got[3])
end

local criteria = {
  triplet = crun.losses.triplet { margin = 1 },
  contrastive = crun.losses.contrastive { variant = "pml", distance = "cosine" },
  uniformity = function(z) return crun.losses.uniformity {} (z) end,
  own = function(z, y) return (z:matmul(z:t()):logsumexp(2) * y:real()):mean() end,
}

describe("loss.micro", function()
  for name, criterion in pairs(criteria) do
    for _, opts in ipairs { { pieces = 1 }, { pieces = 3 }, { pieces = 13 }, { pieces = 50 }, { rows = 5 },
                            { pieces = 4, keep = 2 } } do
      local text = opts.rows and opts.rows .. " rows a piece" or opts.pieces .. " pieces"
      it(("is the whole batch: %s, %s%s"):format(name, text, opts.keep and ", two kept" or ""), function()
        local x = images()
        local want = { after(function(net)
          net(images "before")                               -- the steps of dropout do not begin at 0
          local loss = criterion(net(x), labels)
          loss:backward()
          return loss
        end) }
        local got = { after(function(net)
          net(images "before")
          return micro.new(criterion, opts)(net, x, labels)
        end) }
        same(want, got)
      end)
    end
  end

  it("takes views, of one network or of several", function()
    local vicreg = crun.losses.vicreg {}
    local x, y = images "x", images "y"
    same({ after(function(net)
      local zx = net(x)
      local loss = vicreg(zx, net(y))
      loss:backward()
      return loss
    end) }, { after(function(net) return micro.new(vicreg, 4)(net, { x, y }) end) })

    nn.seed(9)
    local other = nn.Sequential { nn.Flatten(), nn.Linear(64, 5) }
    local net = network():eval()
    local loss = micro.new(vicreg, 2)({ net, other }, { x, y })
    local got = other:parameters()[1]:grad():clone()
    other:zero_grad()
    local want = vicreg(net(x), other(y))
    want:backward()
    assert.near(want:item(), loss:item(), near * want:item())
    assert.is_true(crun.allclose(got, other:parameters()[1]:grad(), 1e-4, 1e-5))
  end)

  it("passes gradients to weights of the loss, and its parameters on", function()
    local centers = nn.parameter(crun.randn(crun.rng(1, "centers"), 5, 5))
    local net = network():eval()
    local function loss(z, y) return (z - centers:index_select(y)):square():mean() end
    loss(net(images()), labels):backward()
    local want = centers:grad():clone()
    centers:zero_grad_()
    net:zero_grad()
    micro.new(loss, 3)(net, images(), labels)
    assert.is_true(crun.allclose(centers:grad(), want, 1e-4, near))
  end)

  it("adds to gradients that are there, and takes a transform", function()
    local net = network():eval()
    local bytes = (crun.rand(crun.rng(1, "bytes"), B, 1, 8, 8) * 255):byte()
    local function cast(x) return x:real() / 255 end
    local criterion = micro.new(criteria.triplet, { pieces = 3, transform = cast })
    criterion(net, bytes, labels)
    local once = net:parameters()[1]:grad():clone()
    criterion(net, bytes, labels)
    assert.is_true(crun.allclose(net:parameters()[1]:grad(), once * 2, 1e-5, 1e-6))
    net:zero_grad()
    criteria.triplet(net(cast(bytes)), labels):backward()
    assert.is_true(crun.allclose(net:parameters()[1]:grad(), once, 1e-4, 1e-6))
  end)

  it("holds the activations of one piece only", function()
    -- the output of the wide layer: 512 x 4000 numbers, 8 MB in float
    nn.seed(1)
    local net = nn.Sequential { nn.Linear(8, 4000), nn.ReLU(), nn.Linear(4000, 4) }
    local x, y = crun.randn(crun.rng(1, "wide"), 512, 8), crun.randint(crun.rng(1, "y"), 20, 512)
    local function peak(f)
      net:zero_grad()
      f() net:zero_grad()                                  -- gradients exist, caches are warm
      collectgarbage() collectgarbage()
      local before = crun.memory().live
      crun.memory_reset_peak()
      f()
      return crun.memory().peak - before
    end
    local whole = peak(function() criteria.triplet(net(x), y):backward() end)
    local pieces = peak(function() micro.new(criteria.triplet, 16)(net, x, y) end)
    assert.is_true(pieces < whole / 3, ("%d of %d bytes"):format(pieces, whole))
  end)

  it("is the loss itself for embeddings", function()
    local z = crun.randn(crun.rng(2, "z"), B, 4):requires_grad_()
    local loss = micro.new(criteria.triplet, 4)(z, labels)
    assert.equal(criteria.triplet(z, labels):item(), loss:item())
    loss:backward()
    assert.is_truthy(z:grad())
  end)

  it("leaves everything alone where the loss is 0 without a graph", function()
    local net = network()
    local loss = micro.new(function() return crun.scalar(0) end, 3)(net, images(), labels)
    assert.equal(0, loss:item())
    assert.is_nil(net:parameters()[1]:grad())
  end)

  it("refuses batch norm in training mode, and takes it frozen", function()
    nn.seed(2)
    local net = nn.Sequential { nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 4) }
    local criterion = micro.new(criteria.triplet, 3)
    assert.error_matches(function() criterion(net, images(), labels) end,
      "loss.micro: nn.BatchNorm2d in training mode takes its statistics over a piece, not over the batch", 1, true)
    net:eval()
    local got = { after(function() return criterion(net, images(), labels) end, net) }
    net:zero_grad()
    same({ after(function()
      local loss = criteria.triplet(net(images()), labels)
      loss:backward()
      return loss
    end, net) }, got)
  end)

  it("refuses a network with random numbers of its own, and puts dropout back", function()
    local net, rng = network(), crun.rng(1, "own")
    local noisy = nn.Sequential { net, function(z) return z + crun.randn(rng, z:shape()) end }
    assert.error_matches(function() micro.new(criteria.triplet, 3)(noisy, images(), labels) end,
      "the network gave other embeddings the second time", 1, true)
    for _, m in ipairs((net:modules())) do
      if m.step then
        assert.equal(0, m.step[1])
        assert.is_nil(rawget(m, "mask_options"))
      end
    end
    assert.same({ 13, 5 }, net(images()):shape())
  end)

  it("is one option on any loss", function()
    local triplet = micro.option(crun.losses.triplet)
    local x, net = images(), network():eval()
    local criterion = triplet { margin = 0.5, micro = 4 }
    criterion.loss.margin = 1
    local loss = criterion(net, x, labels)
    assert.near(criteria.triplet(net(x), labels):item(), loss:item(), 1e-5)
    assert.is_truthy(criterion.stats.active)
    assert.equal(2, triplet { micro = { rows = 2, keep = 1 } }.rows)
    assert.equal(0.5, triplet { margin = 0.5 }.margin)
  end)

  it("says what it takes", function()
    local function refused(text, ...)
      local arguments = table.pack(...)
      assert.error_matches(function() micro.new(table.unpack(arguments, 1, arguments.n)) end, text, 1, true)
    end
    refused("takes pieces (how many) or rows (of a piece), one of the two", criteria.triplet, {})
    refused("takes pieces (how many) or rows (of a piece), one of the two", criteria.triplet, { pieces = 2, rows = 3 })
    refused("pieces must be at least 1, got 0", criteria.triplet, { pieces = 0 })
    local criterion = micro.new(criteria.triplet, 2)
    assert.error_matches(function() criterion(network(), 3, labels) end, "x must be a tensor, got 3", 1, true)
    assert.error_matches(function() criterion(function(x) return x:sum() end, images(), labels) end,
      "net must give a tensor of a row for each of the 7 rows it is given", 1, true)
  end)
end)
