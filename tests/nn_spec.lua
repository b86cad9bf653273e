local crun = require "crun"
local nn = crun.nn

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return (text:gsub("^[^:]*:%d+: ", ""))
end

local function x_of(...) return crun.randn(crun.rng(7, "x"), ...) end

describe("a module", function()
  local function small()
    local Block = nn.class "Block"
    function Block:init(width, inner)
      self.down = nn.Linear(width, inner)
      self.up = nn.Linear(inner, width)
    end
    function Block:forward(x) return x + self.up(self.down(x):relu()) end
    return Block
  end

  it("is ten lines", function()
    local net = nn.Sequential { small()(6, 3), nn.Normalize() }
    local z = net(x_of(4, 6))
    assert.same({ 4, 6 }, z:shape())
    assert.same({ 4, 6 }, net:forward(x_of(4, 6)):shape())
    local _, names = net:parameters()
    assert.same({ "1.down.weight", "1.down.bias", "1.up.weight", "1.up.bias" }, names)
    assert.equal(6 * 3 + 3 + 3 * 6 + 6, net:count())
  end)
  it("counts a shared parameter once", function()
    local a = nn.Linear(3, 3)
    local net = nn.Sequential { a, nn.ReLU(), a }
    assert.equal(2, #net:parameters())
    assert.same({ "1.weight", "1.bias" }, select(2, net:parameters()))
  end)
  it("finds modules in lists and passes over private fields", function()
    local Tower = nn.class "Tower"
    function Tower:init()
      self.layers = { nn.Linear(2, 2), nn.Linear(2, 2) }
      self._last = crun.zeros(3)
      self.scale = crun.ones(1)
    end
    local tower = Tower()
    assert.same({ "layers.1.weight", "layers.1.bias", "layers.2.weight", "layers.2.bias" },
      select(2, tower:parameters()))
    assert.same({ "scale" }, select(2, tower:buffers()))
  end)
  it("tells training from evaluation all the way down", function()
    local net = nn.Sequential { nn.Dropout(0.5), nn.Residual { nn.BatchNorm1d(4) } }
    assert.is_true(net[1].training)
    net:eval()
    assert.is_false(net[1].training)
    assert.is_false(net[2][1].training)
    net:train()
    assert.is_true(net[2][1].training)
  end)
  it("freezes without forgetting what its parameters are", function()
    local net = nn.Linear(2, 2)
    net:requires_grad_(false)
    assert.is_false(net.weight:wants_grad())
    assert.equal(2, #net:parameters())
    net:requires_grad_(true)
    assert.is_true(net.weight:wants_grad())
  end)
  it("prints its layers and counts", function()
    local net = nn.Sequential { nn.Conv2d(1, 8, 3, { padding = "same" }), nn.ReLU(),
      { "head", nn.Linear(8, 1000) } }
    assert.equal([[
Sequential                                9,080 parameters
  1: Conv2d(1 -> 8, kernel 3, padding 1)     80
  2: ReLU
  head: Linear(8 -> 1000)                 9,000]], tostring(net))
  end)
end)

describe("a state", function()
  it("goes into another network and makes it equal", function()
    local function make()
      return nn.Sequential { nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 3) }
    end
    local a, b = make(), make()
    -- moves running statistics and the dropout's counter
    a(x_of(8, 5))
    b:load((a:state()))
    assert.same(a:state()["2.running_mean"]:totable(), b:state()["2.running_mean"]:totable())
    assert.equal(1, b:state()["3.step"][1])
    local x = x_of(8, 5)
    -- dropout too: its seed and step are in the state
    assert.is_true(crun.allclose(a(x), b(x), 0, 0))
    a:eval(); b:eval()
    assert.is_true(crun.allclose(a(x), b(x), 0, 0))
  end)
  it("is refused whole when something does not fit", function()
    local net = nn.Linear(3, 4)
    local before = net.weight:clone()
    local weight = crun.zeros(4, 3)
    assert.equal("nn.load: 'bias' has shape [4] here, the state holds [3]",
      message(net.load, net, { weight = weight, bias = crun.zeros(3) }))
    assert.equal("nn.load: the state lacks 'bias' (it holds 'bia')",
      message(net.load, net, { weight = weight, bia = crun.zeros(4) }))
    assert.equal("nn.load: the state holds 'more', which this module has no place for",
      message(net.load, net, { weight = weight, bias = crun.zeros(4), more = weight }))
    assert.is_true(crun.allclose(before, net.weight:detach(), 0, 0))
    local missing, unexpected = net:load({ weight = weight, more = weight }, { strict = false })
    assert.same({ { "bias" }, { "more" } }, { missing, unexpected })
    assert.equal(0, net.weight:detach():abs():sum():item())
  end)
end)

describe("mistakes in shape", function()
  it("are taught", function()
    assert.equal("nn.Linear(512 -> 64): got [32, 2048]; use nn.Linear(2048, 64)",
      message(nn.Linear(512, 64), crun.zeros(32, 2048)))
    assert.equal("nn.Linear(512 -> 64): got [32, 8, 8, 8]; put nn.Flatten() before it",
      message(nn.Linear(512, 64), crun.zeros(32, 8, 8, 8)))
    assert.equal("nn.Conv2d(3 -> 8): got [2, 1, 8, 8]; it takes [B, 3, H, W], so use nn.Conv2d(1, 8, ...)",
      message(nn.Conv2d(3, 8, 3), crun.zeros(2, 1, 8, 8)))
    assert.equal("nn.Conv2d(3 -> 8): got [8, 8]; it takes [B, 3, H, W]",
      message(nn.Conv2d(3, 8, 3), crun.zeros(8, 8)))
    assert.equal("nn.BatchNorm2d(4): got [2, 3, 5, 5]; it takes [B, 4, H, W]",
      message(nn.BatchNorm2d(4), crun.zeros(2, 3, 5, 5)))
    assert.equal("nn.Residual: the layers made [1, 3] of [1, 2]; give a shortcut that does the same",
      message(nn.Residual { nn.Linear(2, 3) }, crun.zeros(1, 2)))
  end)
  it("name the line of the caller", function()
    local _, text = pcall(nn.Linear(5, 6), crun.zeros(1, 4))
    assert.truthy(text:find "nn_spec.lua:%d+: nn.Linear")
  end)
  it("in constructors too", function()
    assert.equal("nn.Conv2d: unknown option 'strid'; did you mean 'stride'?",
      message(nn.Conv2d, 3, 8, 3, { strid = 2 }))
    assert.equal("nn.Conv2d: the kernel size is missing, as in nn.Conv2d(3, 8, 3)",
      message(nn.Conv2d, 3, 8))
    assert.equal("nn.Conv2d: groups = 2 must divide both channel counts, 3 and 8",
      message(nn.Conv2d, 3, 8, 3, { groups = 2 }))
    assert.truthy(message(nn.Sequential, { nn.ReLU }):find("is it a class that was not called", 1,
      true))
    assert.equal("nn.Dropout: p must be in 0 .. 1, got 1.5", message(nn.Dropout, 1.5))
  end)
end)

describe("layers", function()
  it("have the shapes they say", function()
    local x = x_of(2, 3, 12, 10)
    local function shape(layer, input) return layer(input or x):shape() end
    assert.same({ 2, 8, 12, 10 }, shape(nn.Conv2d(3, 8, 3, { padding = "same" })))
    assert.same({ 2, 6, 5, 8 },
      shape(nn.Conv2d(3, 6, { 3, 5 }, { stride = { 2, 1 }, padding = { 0, 1 }, groups = 3 })))
    assert.same({ 2, 4, 9 }, shape(nn.Conv1d(3, 4, 3, { dilation = 2 }), x_of(2, 3, 13)))
    assert.same({ 2, 3, 6, 5 }, shape(nn.MaxPool2d(2)))
    assert.same({ 2, 3, 6, 5 }, shape(nn.AvgPool2d(3, { stride = 2, padding = 1 })))
    assert.same({ 2, 3, 4, 4 }, shape(nn.AdaptiveAvgPool2d(4)))
    assert.same({ 2, 360 }, shape(nn.Flatten()))
    assert.same({ 2, 3, 12, 10 }, shape(nn.GroupNorm(1, 3)))
    assert.same({ 2, 3, 12, 10 }, shape(nn.LayerNorm(10)))
    assert.same({ 2, 3, 12, 10 }, shape(nn.PReLU(3)))
    assert.same({ 2, 3, 12, 10 }, shape(nn.Dropout2d(0.5)))
    assert.same({ 2, 2, 7 }, shape(nn.Embedding(5, 7), crun.int { { 1, 5 }, { 2, 2 } }))
  end)
  it("activate", function()
    local x = x_of(3, 4)
    for _, name in ipairs { "ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Mish", "Sigmoid",
      "LogSigmoid", "Tanh",
        "Softplus", "Softsign", "HardTanh", "HardSigmoid", "HardSwish", "ReLU6", "Softmax",
          "LogSoftmax" } do
      assert.same({ 3, 4 }, nn[name]()(x):shape(), name)
    end
    assert.near(-0.2, nn.LeakyReLU { slope = 0.2 }(crun.tensor { -1 }):item(), 1e-6)
    assert.same({ -0.5, 2 }, nn.PReLU(1, { slope = 0.5 })(crun.tensor { -1, 2 }):detach():totable())
    assert.same({ -1, 0.5 }, nn.HardTanh()(crun.tensor { -3, 0.5 }):totable())
  end)
  it("drop out by a counter of their own", function()
    local a = nn.Dropout(0.5, { rng = crun.rng(3) })
    local b = nn.Dropout(0.5, { rng = crun.rng(3) })
    local x = crun.ones(4, 50)
    local first, second = a(x), a(x)
    assert.is_false(crun.allclose(first, second))
    assert.is_true(crun.allclose(first, b(x), 0, 0))
    a:eval()
    assert.is_true(crun.allclose(x, a(x), 0, 0))
  end)
  it("give every parameter a gradient", function()
    local net = nn.Sequential {
      nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
      nn.Residual { nn.Conv2d(4, 8, 3, { padding = 1 }), nn.GroupNorm(2, 8),
        shortcut = nn.Conv2d(4, 8, 1) },
      nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 6), nn.PReLU(6), nn.LayerNorm(6),
      nn.Normalize(),
    }
    local z = net(x_of(5, 1, 10, 10))
    ;(z * x_of(5, 6)):sum():backward()
    local tensors, names = net:parameters()
    for i, p in ipairs(tensors) do assert.is_truthy(p:grad(), names[i]) end
    net:zero_grad()
    assert.is_nil(tensors[1]:grad())
  end)
end)

describe("initial values", function()
  local function spread(t)
    local n, sum, square = t:numel(), 0, 0
    for _, v in ipairs(t:detach():reshape(n):totable()) do sum, square = sum + v, square + v * v end
    return sum / n, math.sqrt(square / n - (sum / n) ^ 2)
  end
  it("come from the seed", function()
    nn.seed(5)
    local a = nn.Linear(4, 4).weight:detach()
    nn.seed(5)
    assert.is_true(crun.allclose(a, nn.Linear(4, 4).weight:detach(), 0, 0))
    assert.is_false(crun.allclose(a, nn.Linear(4, 4).weight:detach()))
    local b = nn.Linear(4, 4, { rng = crun.rng(5, "nn") }).weight:detach()
    assert.is_true(crun.allclose(a, b, 0, 0))
  end)
  it("have the spread their scheme says", function()
    local wanted = {
      default = 1 / math.sqrt(3 * 200), kaiming_uniform = math.sqrt(2 / 200),
      kaiming_normal = math.sqrt(2 / 200),
      xavier_uniform = math.sqrt(2 / 300), xavier_normal = math.sqrt(2 / 300),
      lecun_normal = math.sqrt(1 / 200),
      normal = 0.02, zeros = 0,
    }
    for scheme, deviation in pairs(wanted) do
      local mean, got = spread(nn.Linear(200, 100, { init = scheme }).weight)
      assert.near(0, mean, 0.002, scheme)
      assert.near(deviation, got, 0.03 * deviation + 1e-9, scheme)
    end
  end)
  it("can be orthogonal", function()
    for _, size in ipairs { { 12, 5 }, { 5, 12 }, { 8, 8 } } do
      local w = nn.Linear(size[1], size[2], { init = "orthogonal" }).weight:detach()
      local gram = size[2] <= size[1] and w:matmul(w:t()) or w:t():matmul(w)
      assert.is_true(crun.allclose(gram, crun.eye(math.min(size[1], size[2])), 1e-5, 1e-5))
    end
  end)
  it("can be a function, and say so when its name is wrong", function()
    local layer = nn.Linear(2, 3, { init = function(_, shape) return crun.full(shape, 0.5) end })
    assert.same({ { 0.5, 0.5 }, { 0.5, 0.5 }, { 0.5, 0.5 } }, layer.weight:detach():totable())
    assert.truthy(message(nn.Linear, 2, 3,
      { init = "xavier_unifrom" }):find("did you mean 'xavier_uniform'?", 1, true))
  end)
end)
