local crun = require "crun"
local nn = crun.nn

local function largest(t) return t:numel() == 0 and 0 or t:detach():abs():amax():item() end
local function near(a, b, what, tolerance)
  local apart = largest(a:detach() - b:detach())
  local bound = (tolerance or 2e-5) * math.max(1, largest(b))
  assert(apart <= bound, ("%s: %g apart, at most %g"):format(what, apart, bound))
end

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return (text:gsub("^[^:]*:%d+: ", ""))
end

-- the layers one by one, on [B H W C]
local function by_layers(t, o)
  local y = crun.conv2d(t.x:permute(1, 4, 2, 3), t.weight, t.bias,
    { stride = o.stride, padding = o.padding })
  if t.mean then
    y = crun.batch_norm(y, t.gamma, t.beta, t.mean, t.var, { training = o.training })
  end
  if t.residual then y = y + t.residual:permute(1, 4, 2, 3) end
  if o.activation == "relu" then y = y:relu() end
  if o.pool == 2 then y = crun.max_pool2d(y, { kernel = 2 }) end
  return y:permute(1, 3, 4, 2)
end

local function at_once(t, o)
  return crun.conv_block(t.x, t.weight, t.bias, t.gamma, t.beta, t.mean, t.var, t.residual, o)
end

local leaves = { "x", "weight", "bias", "gamma", "beta", "residual" }

local function draw(shape, filters, kernel, o)
  local rng = crun.rng(11, "block")
  local function r(...) return crun.randn(rng, ...) end
  local t = { x = r(table.unpack(shape)), weight = r(filters, shape[4], kernel, kernel) * 0.3 }
  t.bias = o.bias and r(filters) or nil
  if o.norm then
    t.gamma, t.beta = r(filters), r(filters)
    t.mean, t.var = r(filters) * 0.1, crun.rand(rng, filters) + 0.5
  end
  if o.residual then t.residual = r(table.unpack(o.residual)) end
  return t
end

-- result, gradients and running statistics of f
local function outcome(f, t, o, image_gradient)
  local own = {}
  for name, tensor in pairs(t) do own[name] = tensor:clone() end
  for _, name in ipairs(leaves) do
    if own[name] and (name ~= "x" or image_gradient) then own[name]:requires_grad_() end
  end
  local out = f(own, o)
  out:backward(crun.randn(crun.rng(12, "g"), out:shape()))
  local all = { out = out:detach(), mean = own.mean, var = own.var }
  for _, name in ipairs(leaves) do if own[name] then all["g" .. name] = own[name]:grad() end end
  return all
end

local relu2 = { padding = 1, activation = "relu", pool = 2 }
local cases = {
  { "a whole block", { 3, 12, 10, 5 }, 7, 3, { norm = true, bias = true }, relu2 },
  { "a block of odd sizes", { 2, 9, 7, 32 }, 33, 3, { norm = true }, relu2 },
  { "no activation", { 2, 8, 8, 4 }, 6, 3, { norm = true }, { padding = 1, pool = 2 } },
  { "no norm", { 2, 9, 8, 4 }, 6, 3, { bias = true }, relu2 },
  { "norm and ReLU", { 2, 9, 8, 4 }, 70, 3, { norm = true }, { padding = 1, activation = "relu" } },
  { "a stride", { 2, 9, 8, 16 }, 24, 3, { norm = true },
    { padding = 1, stride = 2, activation = "relu" } },
  { "one by one", { 2, 9, 8, 16 }, 24, 1, { norm = true }, { stride = 2 } },
  { "a residual", { 2, 9, 8, 16 }, 16, 3, { norm = true, residual = { 2, 9, 8, 16 } },
    { padding = 1, activation = "relu" } },
  { "a residual without norm", { 2, 9, 8, 3 }, 4, 3, { bias = true, residual = { 2, 9, 8, 4 } },
    { padding = 1, activation = "relu" } },
  { "a residual without norm and ReLU", { 2, 9, 8, 3 }, 4, 3, { residual = { 2, 9, 8, 4 } },
    { padding = 1 } },
  { "a convolution", { 2, 9, 8, 3 }, 4, 3, { bias = true }, {} },
  { "a convolution and ReLU", { 2, 9, 8, 3 }, 4, 3, { bias = true }, { activation = "relu" } },
  { "tiles", { 3, 12, 10, 32 }, 48, 3, { norm = true, bias = true }, relu2 },
  { "tiles of odd sizes", { 2, 11, 9, 16 }, 16, 3, { norm = true }, { pool = 2, padding = 2 } },
  { "tiles and ReLU", { 2, 9, 8, 16 }, 32, 3, { bias = true },
    { padding = 1, activation = "relu" } },
  { "images of one channel", { 3, 12, 134, 1 }, 33, 3, { norm = true, bias = true }, relu2 },
  { "odd images of one channel", { 3, 9, 7, 1 }, 70, 3, { norm = true }, relu2 },
  { "one channel without padding", { 3, 9, 12, 1 }, 8, 3, { norm = true },
    { pool = 2, activation = "none" } },
  { "one channel without norm", { 3, 10, 12, 1 }, 8, 3, { bias = true }, relu2 },
}

describe("a conv_block", function()
  for _, case in ipairs(cases) do
    local name, shape, filters, kernel, parts, o = table.unpack(case)
    for _, training in ipairs { true, false } do
      local options = { training = training }
      for key, value in pairs(o) do options[key] = value end
      local mode = training and "training" or "evaluation"
      it(("is its layers: %s, %s"):format(name, mode), function()
        local t = draw(shape, filters, kernel, parts)
        for _, image_gradient in ipairs { true, false } do
          local want = outcome(by_layers, t, options, image_gradient)
          local got = outcome(at_once, t, options, image_gradient)
          for key, tensor in pairs(want) do near(got[key], tensor, key, 5e-5) end
        end
        local _ <close> = crun.no_grad()
        near(at_once(t, options), by_layers(t, options), "without gradients")
      end)
    end
    it("gives an image its bits whatever is around it and asked for: " .. name, function()
      local t = draw(shape, filters, kernel, parts)
      local evaluation = { training = false }
      for key, value in pairs(o) do evaluation[key] = value end
      local with = outcome(at_once, t, evaluation).out
      local _ <close> = crun.no_grad()
      assert.equal(0, largest(with - at_once(t, evaluation)))
      t.x, t.residual = t.x:narrow(1, 2, 1), t.residual and t.residual:narrow(1, 2, 1)
      assert.equal(0, largest(with:narrow(1, 2, 1) - at_once(t, evaluation)))
    end)
    it("has the same bits for 1 and 2 threads: " .. name, function()
      local t, before, results = draw(shape, filters, kernel, parts), crun.threads(), {}
      for threads = 1, 2 do
        crun.threads(threads)
        results[threads] = outcome(at_once, t, o, threads == 3)
      end
      crun.threads(before)
      for key, tensor in pairs(results[1]) do
        assert.equal(0, largest(tensor - results[2][key]), key)
      end
    end)
  end

  it("takes a channel that a weight of 0 has hidden", function()
    for _, channels in ipairs { 1, 4 } do
      local t = draw({ 3, 8, 8, channels }, 6, 3, { norm = true })
      t.gamma = crun.tensor { 0, 1, -1, 0, 1e-12, 2 }
      local want, got = outcome(by_layers, t, relu2), outcome(at_once, t, relu2)
      for key, tensor in pairs(want) do near(got[key], tensor, key, 5e-5) end
    end
  end)
  it("knows the variance of what lies far from 0", function()
    local t = draw({ 4, 16, 16, 8 }, 8, 3, { norm = true })
    t.x, t.weight = t.x * 1e-3 + 1, t.weight:abs()
    local o = { activation = "relu", pool = 2 }
    near(at_once(t, o), by_layers(t, o), "out", 5e-3)
  end)
  it("sees what became of the weights since the last call", function()
    for _, shape in ipairs { { 2, 8, 8, 16 }, { 2, 8, 8, 3 } } do
      local t = draw(shape, 32, 3, { norm = true, bias = true })
      local o = { padding = 1, activation = "relu", pool = 2, training = false }
      local _ <close> = crun.no_grad()
      local function holds() near(at_once(t, o), by_layers(t, o), "out") end
      holds()
      holds()
      t.weight:mul_(2)
      holds()
      t.weight[3] = t.weight[1]
      t.gamma:add_(0.5)
      holds()
      t.var:mul_(3)
      t.bias:fill_(1)
      holds()
      t.weight = crun.randn(crun.rng(4, "other"), 32, shape[4], 3, 3)
      collectgarbage()
      holds()
    end
  end)
  it("keeps no more than some weights", function()
    local _ <close> = crun.no_grad()
    local x = crun.randn(crun.rng(4, "x"), 1, 4, 4, 64)
    local before = crun.memory().live
    for _ = 1, 100 do
      crun.scope(function()
        at_once({ x = x, weight = crun.zeros(64, 64, 3, 3) }, { padding = 1 })
      end)
    end
    assert.is_true(crun.memory().live - before < 20e6)
  end)
  it("makes nothing of no images", function()
    local t = draw({ 0, 8, 8, 4 }, 6, 3, { norm = true })
    assert.same({ 0, 4, 4, 6 }, at_once(t, { padding = 1, pool = 2, training = false }):shape())
  end)
  it("says what does not fit", function()
    local t = draw({ 2, 3, 3, 4 }, 6, 3, { norm = true })
    assert.equal("conv_block: pool needs 2 rows and columns or more, the convolution makes 1 x 1",
      message(at_once, t, { pool = 2 }))
    assert.equal("conv_block: training needs 2 values or more of each filter, got x of shape [1, 3, 3, 4]",
      message(at_once, draw({ 1, 3, 3, 4 }, 6, 3, { norm = true }), {}))
    t.residual = crun.zeros(2, 3, 3, 6)
    assert.equal("conv_block: residual must be as the convolution's 1 x 1 images, got [2, 3, 3, 6]",
      message(at_once, t, {}))
    assert.equal("conv_block: a residual and pool = 2 exclude each other",
      message(at_once, t, { padding = 1, pool = 2 }))
    t.var = nil
    assert.equal("conv_block: running_mean and running_var come together", message(at_once, t, {}))
    t.mean = nil
    assert.equal("conv_block: gamma and beta need running_mean and running_var",
      message(at_once, t, {}))
  end)
end)

describe("a residual_block", function()
  local names = { "x", "shortcut", "w1", "w2", "gamma1", "gamma2", "beta1", "beta2" }
  local function draw_pair(B, H, W, C, O, with)
    local rng = crun.rng(13, "pair")
    local function r(...) return crun.randn(rng, ...) end
    local t = { x = r(B, H, W, C), w1 = r(O, C, 3, 3) * 0.2, w2 = r(O, O, 3, 3) * 0.2,
      mean1 = r(O), mean2 = r(O), var1 = crun.rand(rng, O), var2 = crun.rand(rng, O) }
    if with.affine then
      t.gamma1, t.gamma2, t.beta1, t.beta2 = r(O), r(O), r(O), r(O)
    end
    if with.shortcut then t.shortcut = r(B, with.shortcut[1], with.shortcut[2], O) end
    return t
  end
  local function pair(t, o)
    return crun.residual_block(t.x, t.shortcut, t.w1, t.w2, t.gamma1, t.gamma2, t.beta1, t.beta2,
      t.mean1, t.mean2, t.var1, t.var2, o)
  end
  local function blocks(t, o)
    local a = crun.conv_block(t.x, t.w1, nil, t.gamma1, t.beta1, t.mean1, t.var1, nil,
      { padding = o.padding, stride = o.stride, activation = "relu" })
    return crun.conv_block(a, t.w2, nil, t.gamma2, t.beta2, t.mean2, t.var2, t.shortcut or t.x,
      { padding = 1, activation = "relu" })
  end
  local function result(f, t, o, wanted)
    local own, all = {}, {}
    for name, tensor in pairs(t) do own[name] = tensor:clone() end
    for _, name in ipairs(names) do
      if own[name] and wanted(name) then own[name]:requires_grad_() end
    end
    all.out = f(own, o)
    all.out:backward(crun.randn(crun.rng(12, "g"), all.out:shape()))
    for _, name in ipairs(names) do
      if own[name] and wanted(name) then all[name] = own[name]:grad() end
    end
    for _, name in ipairs { "mean1", "mean2", "var1", "var2" } do all[name] = own[name] end
    return all
  end
  local cases_of_pairs = {
    { "x around", { 3, 9, 10, 16, 16, { affine = true } }, { padding = 1 } },
    { "x around, few channels", { 3, 9, 10, 5, 5, { affine = true } }, { padding = 1 } },
    { "a stride", { 3, 9, 10, 16, 32, { affine = true, shortcut = { 5, 5 } } },
      { padding = 1, stride = 2 } },
    { "no padding, no weights of the norm", { 2, 9, 8, 16, 16, { shortcut = { 7, 6 } } }, {} },
  }
  for _, case in ipairs(cases_of_pairs) do
    local t, o = draw_pair(table.unpack(case[2])), case[3]
    it("is two blocks: " .. case[1], function()
      for _, wanted in ipairs {
        function() return true end,
        function(name) return name ~= "x" and name ~= "shortcut" end,
        function(name) return name == "x" or name == "shortcut" end,
        function(name) return name == "w1" end,
      } do
        local want, got = result(blocks, t, o, wanted), result(pair, t, o, wanted)
        for key, tensor in pairs(want) do near(got[key], tensor, key, 5e-5) end
      end
      local _ <close> = crun.no_grad()
      near(pair(t, o), blocks(t, o), "without gradients")
    end)
    it("has the same bits for 1 and 2 threads: " .. case[1], function()
      local before, results = crun.threads(), {}
      for threads = 1, 2 do
        crun.threads(threads)
        results[threads] = result(pair, t, o, function() return true end)
      end
      crun.threads(before)
      for key, tensor in pairs(results[1]) do
        assert.equal(0, largest(tensor - results[2][key]), key)
      end
    end)
  end
  it("says what does not fit", function()
    local t = draw_pair(2, 4, 4, 3, 3, {})
    assert.equal("residual_block: the shortcut must be [2, 2, 2, 3], got [2, 4, 4, 3]",
      message(pair, t, {}))
    t.w2 = crun.zeros(3, 3, 2, 3)
    assert.equal("residual_block: weight2 must have windows of odd sides, got [3, 3, 2, 3]",
      message(pair, t, { padding = 1 }))
    t = draw_pair(1, 1, 1, 3, 3, {})
    assert.equal("residual_block: needs 2 values or more of each filter, got x of shape [1, 1, 1, 3]",
      message(pair, t, { padding = 1 }))
  end)
end)

describe("a Sequential", function()
  local function make(fuse, channels)
    nn.seed(3)
    return nn.Sequential {
      nn.Conv2d(channels, 8, 3, { padding = 1 }), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
      nn.Sequential { nn.Conv2d(8, 12, 3, { padding = 1, bias = false }), nn.BatchNorm2d(12),
        nn.ReLU(), fuse = fuse },
      nn.Conv2d(12, 6, 1), nn.GELU(), nn.Conv2d(6, 6, 3, { stride = 2 }), nn.ReLU(),
      nn.Residual { nn.Conv2d(6, 6, 3, { padding = 1 }), nn.BatchNorm2d(6), fuse = fuse },
      nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4), fuse = fuse,
    }
  end
  local function train(net, x)
    for _ = 1, 3 do
      net:zero_grad()
      net(x):backward(crun.ones(x:size(1), 4))
    end
    return net(x)
  end
  for _, channels in ipairs { 1, 3 } do
    it("computes layers together as it does one by one, channels " .. channels, function()
      local x = crun.randn(crun.rng(5, "x"), 4, channels, 14, 13)
      local fused, plain = make(true, channels), make(false, channels)
      near(train(fused, x), train(plain, x), "out")
      local parameters, names = plain:parameters()
      local own, own_names = fused:parameters()
      assert.same(names, own_names)
      for i, p in ipairs(parameters) do near(own[i]:grad(), p:grad(), names[i], 1e-4) end
      local state = plain:state()
      for name, tensor in pairs((fused:state())) do near(tensor, state[name], name) end
      fused:eval()
      plain:eval()
      near(fused(x), plain(x), "in evaluation")
      local _ <close> = crun.no_grad()
      near(fused(x), plain(x), "in evaluation without gradients")
    end)
  end
  it("gives the gradient of an image, and of what is between two networks", function()
    local x = crun.randn(crun.rng(5, "x"), 2, 3, 8, 8):requires_grad_()
    local first = nn.Sequential { nn.Conv2d(3, 4, 3), nn.ReLU() }
    local second = nn.Sequential { nn.Conv2d(4, 4, 3), nn.ReLU() }
    second(first(x)):sum():backward()
    assert.same({ 2, 3, 8, 8 }, x:grad():shape())
    local between
    do
      local _ <close> = crun.no_grad()
      between = first(x)
    end
    between:requires_grad_()
    second(between):sum():backward()
    assert.same({ 2, 4, 6, 6 }, between:grad():shape())
  end)
  it("computes a convolution as Conv2d was told to", function()
    nn.seed(3)
    local x, results = crun.randn(crun.rng(5, "x"), 2, 16, 12, 12), {}
    for _, way in ipairs { "direct", "columns", "winograd", "auto" } do
      nn.seed(3)
      local conv = nn.Conv2d(16, 16, 3, { algorithm = way })
      results[way] = nn.Sequential { conv, nn.ReLU() }(x)
      near(conv(x):relu(), results[way], way, way == "columns" and 1e-5 or 0)
      near(results[way], results.direct, way)
    end
    if crun.precision == "float32" then
      assert.is_true(largest(results.winograd - results.direct) > 0)
      assert.equal(0, largest(results.winograd - results.auto))
    end
    assert.equal("nn.Conv2d: algorithm must be one of auto, direct, winograd, columns; got a " ..
      'string "fft"', message(nn.Conv2d, 1, 1, 3, { algorithm = "fft" }))
  end)
  it("leaves a layer alone whose forward somebody replaced", function()
    local net, calls = make(true, 3), 0
    local forward = net[2].forward
    rawset(net[2], "forward", function(m, x)
      calls = calls + 1
      return forward(m, x)
    end)
    net(crun.zeros(2, 3, 14, 13))
    assert.equal(1, calls)
  end)
end)

describe("a ResNet", function()
  it("is its layers", function()
    nn.seed(2)
    local net = nn.ResNet { depth = 8, widths = { 4, 6, 16 } }
    local function layers(x)
      x = net.stem[2](net.stem[1](x)):relu()
      for _, stage in ipairs(net.stages) do
        for _, b in ipairs(stage) do
          local around = b.shortcut and b.shortcut[2](b.shortcut[1](x)) or x
          x = (b.bn2(b.conv2(b.bn1(b.conv1(x)):relu())) + around):relu()
        end
      end
      return x:mean { dim = { 3, 4 } }
    end
    local x = crun.randn(crun.rng(5, "x"), 5, 3, 16, 16)
    local got, want = {}, {}
    for k, f in ipairs { net, layers } do
      net:zero_grad()
      local y = f(x)
      y:backward(crun.randn(crun.rng(6, "g"), y:shape()))
      local result = k == 1 and got or want
      result[1] = y
      for i, p in ipairs((net:parameters())) do result[i + 1] = p:grad():clone() end
    end
    assert.same({ 5, 16 }, got[1]:shape())
    for i, tensor in ipairs(want) do near(got[i], tensor, "number " .. i, 1e-4) end
    net:eval()
    near(net(x), layers(x), "in evaluation")
  end)
  it("has names, a depth and a text", function()
    local net = nn.ResNet { depth = 20 }
    local _, names = net:parameters()
    assert.equal("stem.1.weight", names[1])
    assert.equal("stages.1.1.conv1.weight", names[4])
    assert.equal(271824, net:count())
    assert.equal("nn.ResNet: depth must be 2 + 6 n for 3 widths, got 10",
      message(nn.ResNet, { depth = 10 }))
    assert.match("BasicBlock%(16 %-> 32, stride 2%)", tostring(net))
  end)
end)
