--- The workloads of `crun bench`: training steps, inference, retrieval. tests/bench/torch_steps.py
-- has the same in torch, under the same names.
--
-- An entry is { name, case, params, make }; make() sets it up and returns
--   step    one step, forward to optimiser
--   flops   of the direct algorithm: forward, and backward without the gradient of the input
--   bytes   that must move whatever the algorithm: weights, gradients and the optimiser's state,
--           the input, and what layers put out, written, read and its gradient written
--
-- @module crun.bench.workloads
local crun = require "crun"
local nn = require "crun.nn"
local optim = require "crun.optim"

local WORD <const> = crun.precision == "float64" and 8 or 4
-- numbers an optimiser reads and writes for each parameter
local TRAFFIC <const> = { adam = 7, momentum = 5, sgd = 3 }

local list = {}

local function add(case, name, params, make)
  list[#list + 1] = { case = case, name = name, params = params, make = make }
end

local function noise(...) return crun.randn(crun.rng(1, "bench"), ...) end

local function labels(n, f)
  local rows = {}
  for i = 1, n do rows[i] = f(i - 1) + 1 end
  return crun.int(rows)
end

local function parameters_of(...)
  local n = 0
  for _, module in ipairs { ... } do
    for _, tensor in ipairs((module:parameters())) do n = n + tensor:numel() end
  end
  return n
end

-- forward(): the loss. what: modules to train.
local function training(kind, lr, what, forward)
  local opt = kind == "adam" and optim.Adam(what, { lr = lr }) or
    optim.SGD(what, { lr = lr, momentum = kind == "momentum" and 0.9 or 0 })
  local function once() forward():backward() end
  return function()
    opt:zero_grad()
    crun.scope(once)
    opt:step()
  end
end

local function batch_hard() return crun.losses.triplet { margin = 0.2, mine = "hard" } end

-- ---- (a), (g): layers one after another ---------------------------------------------------------

local function layers(widths)
  local entries = {}
  for i = 2, #widths do
    entries[#entries + 1] = nn.Linear(widths[i - 1], widths[i])
    if i < #widths then entries[#entries + 1] = nn.ReLU() end
  end
  return entries
end

local function mlp(widths, B, loss, kind, lr)
  nn.seed(1)
  local entries = layers(widths)
  if loss ~= "cross_entropy" then entries[#entries + 1] = nn.Normalize() end
  local net = nn.Sequential(entries)
  local x, y = noise(B, widths[1]), labels(B, function(i) return i % 16 % widths[#widths] end)
  local criterion = loss == "cross_entropy" and crun.losses.cross_entropy {} or batch_hard()
  local flops, out = -2 * B * widths[1] * widths[2], 0
  for i = 2, #widths do
    flops, out = flops + 6 * B * widths[i - 1] * widths[i], out + B * widths[i]
  end
  return {
    step = training(kind, lr, net, function() return criterion(net(x), y) end), flops = flops,
    bytes = WORD * (TRAFFIC[kind] * parameters_of(net) + B * widths[1] + 3 * out),
  }
end

for _, B in ipairs { 128, 512 } do
  for _, pair in ipairs { { "cross_entropy", "momentum", 0.05 }, { "triplet", "adam", 1e-3 } } do
    local loss, kind, lr = table.unpack(pair)
    add("a", ("mlp/%d/%s"):format(B, loss), { batch = B, loss = loss, optimizer = kind },
      function() return mlp({ 784, 512, 256, 64 }, B, loss, kind, lr) end)
  end
end

-- ---- (b), (c), inference: the face net ----------------------------------------------------------

local function face_net(H, W)
  nn.seed(1)
  local entries, channels, h, w, first, flops, out = {}, 1, H, W, nil, 0, 0
  for _, width in ipairs { 32, 64, 128, 128 } do
    entries[#entries + 1] = nn.Sequential {
      nn.Conv2d(channels, width, 3, { padding = 1, bias = false }), nn.BatchNorm2d(width),
      nn.ReLU(), nn.MaxPool2d(2),
    }
    local layer = 18 * channels * width * h * w
    first, flops, out = first or layer, flops + layer, out + width * h * w
    channels, h, w = width, h // 2, w // 2
  end
  entries[#entries + 1] = nn.Flatten()
  entries[#entries + 1] = nn.Linear(channels * h * w, 128)
  entries[#entries + 1] = nn.Normalize()
  return nn.Sequential(entries), flops + 2 * channels * h * w * 128, first, out
end

for _, size in ipairs { { "b", "face64", 64, 64 }, { "c", "face112", 112, 92 } } do
  local case, name, H, W = table.unpack(size)
  add(case, name, { batch = 64, input = { 1, H, W }, loss = "triplet", optimizer = "adam" },
    function()
      local net, flops, first, out = face_net(H, W)
      local x, y, criterion = noise(64, 1, H, W), labels(64, function(i) return i // 4 end),
        batch_hard()
      return {
        step = training("adam", 1e-3, net, function() return criterion(net(x), y) end),
        flops = 64 * (3 * flops - first),
        bytes = WORD * (TRAFFIC.adam * parameters_of(net) + 64 * (H * W + 3 * out)),
      }
    end)
end

-- ---- (d): ResNets on two views ------------------------------------------------------------------

local function conv_norm(inputs, outputs, kernel, stride, ...)
  return nn.Conv2d(inputs, outputs, kernel,
    { stride = stride, padding = kernel // 2, bias = false }), nn.BatchNorm2d(outputs), ...
end

local function block(inputs, outputs, stride)
  local same = stride == 1 and inputs == outputs
  local a, b, relu = conv_norm(inputs, outputs, 3, stride, nn.ReLU())
  local c, d = conv_norm(outputs, outputs, 3, 1)
  return nn.Residual { a, b, relu, c, d,
    shortcut = not same and nn.Sequential { conv_norm(inputs, outputs, 1, stride) } or nil }
end

local function pooled(x) return x:mean { dim = { 3, 4 } } end

local function resnet_of_parts(depth)
  local entries, channels = { conv_norm(3, 16, 3, 1, nn.ReLU()) }, 16
  for stage, width in ipairs { 16, 32, 64 } do
    for i = 1, (depth - 2) // 6 do
      entries[#entries + 1] = block(channels, width, stage > 1 and i == 1 and 2 or 1)
      entries[#entries + 1] = nn.ReLU()
      channels = width
    end
  end
  entries[#entries + 1] = nn.Lambda(pooled, "mean over the image")
  return nn.Sequential(entries)
end

local function resnet_counts(depth)
  local channels, side = 16, 32
  local first = 18 * 3 * 16 * side * side
  local flops, out = first, 16 * side * side
  for stage, width in ipairs { 16, 32, 64 } do
    for i = 1, (depth - 2) // 6 do
      if stage > 1 and i == 1 then side = side // 2 end
      local area = side * side
      flops = flops + 18 * width * area * (channels + width) +
        (channels ~= width and 2 * channels * width * area or 0)
      out = out + width * area * (channels ~= width and 3 or 2)
      channels = width
    end
  end
  return flops + 2 * (64 * 64 + 64 * 128), first, out
end

for _, depth in ipairs { 8, 20 } do
  add("d", "resnet" .. depth, { batch = 256, input = { 3, 32, 32 }, loss = "ntxent",
    optimizer = "momentum" }, function()
    nn.seed(1)
    local body = nn.ResNet and nn.ResNet { depth = depth, channels = 3 } or resnet_of_parts(depth)
    local net = nn.Sequential { body, nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 128),
      nn.Normalize() }
    local x, y = noise(256, 3, 32, 32), labels(256, function(i) return i % 128 end)
    local criterion = crun.losses.ntxent { temperature = 0.1 }
    local flops, first, out = resnet_counts(depth)
    return {
      step = training("momentum", 0.05, net, function() return criterion(net(x), y) end),
      flops = 256 * (3 * flops - first),
      bytes = WORD * (TRAFFIC.momentum * parameters_of(net) + 256 * (3 * 1024 + 3 * out)),
    }
  end)
end

-- ---- (e): a linear head under eight losses ------------------------------------------------------

local CLASSES <const> = 100
local HEADS <const> = {
  { "contrastive", function() return crun.losses.contrastive { variant = "pml" } end },
  { "triplet", batch_hard },
  { "multi_similarity", function() return crun.losses.multi_similarity { epsilon = 0.1 } end },
  { "ntxent", function() return crun.losses.ntxent { temperature = 0.1 } end },
  { "supcon", function() return crun.losses.supcon { temperature = 0.1 } end },
  { "circle", function() return crun.losses.circle {} end },
  { "proxy_anchor", function()
    return crun.losses.proxy_anchor { classes = CLASSES, dim = 128 }
  end },
  { "arcface", function() return crun.losses.arcface { classes = CLASSES, dim = 128 } end },
}

for _, head in ipairs(HEADS) do
  local name, make = table.unpack(head)
  add("e", "head/" .. name, { batch = 256, loss = name, optimizer = "adam" }, function()
    nn.seed(1)
    local B, D, E = 256, 2048, 128
    local net, criterion = nn.Sequential { nn.Linear(D, E), nn.Normalize() }, make()
    local x, y = noise(B, D), labels(B, function(i) return i // 8 end)
    return {
      step = training("adam", 1e-5, { net, criterion }, function() return criterion(net(x), y) end),
      flops = 4 * B * D * E,
      bytes = WORD * (TRAFFIC.adam * parameters_of(net) + B * D + 3 * B * E),
    }
  end)
end

-- ---- (f): strokes of unequal length -------------------------------------------------------------

local Strokes = nn.class "Strokes"
function Strokes:init(hidden, dim)
  self.gru = nn.GRU(3, hidden)
  self.head = nn.Linear(hidden, dim)
end
function Strokes:forward(x, lengths)
  local _, last = self.gru(x, { lengths = lengths })
  return self.head(last[1]):normalize()
end

add("f", "gru", { batch = 64, steps = 64, hidden = 128, loss = "triplet", optimizer = "adam" },
  function()
    nn.seed(1)
    local B, T, H = 64, 64, 128
    local net, points = Strokes(H, 64), 0
    local lengths = {}
    for i = 1, B do
      lengths[i] = 8 + (i - 1) * 37 % 57
      points = points + lengths[i]
    end
    lengths = crun.int(lengths)
    local x, y, criterion = noise(T, B, 3), labels(B, function(i) return i // 4 end), batch_hard()
    return {
      step = training("adam", 1e-3, net, function() return criterion(net(x, lengths), y) end),
      flops = points * 18 * H * (3 + H) + 6 * B * H * 64,
      bytes = WORD * (TRAFFIC.adam * parameters_of(net) + points * (3 + 3 * 4 * H)),
    }
  end)

-- ---- (g): a step that is all overhead -----------------------------------------------------------

for _, kind in ipairs { "sgd", "adam" } do
  add("g", "tiny/" .. kind, { batch = 8, loss = "cross_entropy", optimizer = kind },
    function() return mlp({ 16, 32, 16, 4 }, 8, "cross_entropy", kind, 1e-3) end)
end

-- ---- no training --------------------------------------------------------------------------------

for _, B in ipairs { 1, 64, 256 } do
  add("inference", "infer/" .. B, { batch = B, input = { 1, 64, 64 } }, function()
    local net, flops, _, out = face_net(64, 64)
    net:eval()
    local x = noise(B, 1, 64, 64)
    local function once() net(x) end
    return {
      step = function()
        local _ <close> = crun.no_grad()
        crun.scope(once)
      end,
      flops = B * flops, bytes = WORD * (parameters_of(net) + B * (64 * 64 + out)),
    }
  end)
end

add("retrieval", "retrieval", { rows = 60000, width = 128, classes = 600 }, function()
  local N, D, C = 60000, 128, 600
  local y = labels(N, function(i) return i % C end)
  local rng = crun.rng(1, "bench")
  local z = crun.scope(function()
    return (crun.randn(rng, C, D):index_select(y, 1) + crun.randn(rng, N, D) * 2):normalize()
  end)
  return {
    step = function() crun.scope(function() crun.metrics.retrieval(z, y) end) end,
    flops = 2 * N * N * D, bytes = WORD * N * D,
  }
end)

-- A process: from its start until it has done its first step. What a step is: crun.bench.first_step.
list[#list + 1] = { case = "start", name = "start", params = { batch = 32, loss = "triplet",
  optimizer = "adam" }, process = true }

return list
