--- Runs of layers as one operator, and images whose channels lie innermost between them.
--
-- crun.conv_block does Conv2d [BatchNorm2d] [ReLU] [MaxPool2d(2)] in a few passes over memory, on
-- images [B, H, W, C]. A layer hands on [B, C, H, W]: here a view of that memory, and fusion
-- remembers what it is a view of, so that the next run takes the memory as it is.
--
-- @module crun.nn.fusion
local crun = require "crun"
local options = require "crun.options"

local M = {}

-- view [B, C, H, W] -> what it is a view of, [B, H, W, C]
local source = setmetatable({}, { __mode = "k" })

--- images [B, C, H, W] as [B, H, W, C]: the memory behind them where they are a view of such.
function M.innermost(x)
  local behind = source[x]
  -- a leaf that was asked for its gradient afterwards is its own
  if behind and behind:wants_grad() == x:wants_grad() then return behind end
  return x:permute(1, 3, 4, 2)
end

--- [B, H, W, C] as the [B, C, H, W] that the next layer expects.
function M.handed(y)
  local view = y:permute(1, 4, 2, 3)
  source[view] = y
  return view
end

local function is_handed(x) return source[x] ~= nil end

--- a + b, in their memory's order when both are such views.
function M.sum(a, b)
  if is_handed(a) and is_handed(b) then return M.handed(M.innermost(a) + M.innermost(b)) end
  return a + b
end

--- Means over the places of each channel: [B, C, H, W] -> [B, C].
function M.global_mean(x)
  local y = M.innermost(x)
  return y:reshape(y:size(1), y:size(2) * y:size(3), y:size(4)):mean(2)
end

--- conv, then norm, residual, ReLU (relu = true) and MaxPool2d(2) (pool = 2) where given, on and to
-- images [B, C, H, W].
function M.block(x, conv, norm, residual, relu, pool)
  local affine = norm and norm.weight
  return M.handed(crun.conv_block(M.innermost(x), conv.weight, conv.bias, affine,
    norm and norm.bias, norm and norm.running_mean, norm and norm.running_var,
    residual and M.innermost(residual),
    { stride = conv.stride, padding = conv.padding, algorithm = conv.algorithm, pool = pool or 1,
      activation = relu and "relu" or "none", training = norm ~= nil and norm.training,
      momentum = norm and norm.momentum, eps = norm and norm.eps }))
end

--- relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut), shortcut nil for x: in training one
-- operator that does not keep what is between the convolutions.
function M.residual(x, conv1, norm1, conv2, norm2, shortcut)
  local alike = norm1.training and norm2.training and norm1.momentum == norm2.momentum and
    norm1.eps == norm2.eps and conv1.algorithm == conv2.algorithm
  if not alike then
    return M.block(M.block(x, conv1, norm1, nil, true), conv2, norm2, shortcut or x, true)
  end
  return M.handed(crun.residual_block(M.innermost(x), shortcut and M.innermost(shortcut),
    conv1.weight, conv2.weight, norm1.weight, norm2.weight, norm1.bias, norm2.bias,
    norm1.running_mean, norm2.running_mean, norm1.running_var, norm2.running_var,
    { stride = conv1.stride, padding = conv1.padding, algorithm = conv1.algorithm,
      momentum = norm1.momentum, eps = norm1.eps }))
end

local function is_pair(list, n) return list[1] == n and list[2] == n end

-- a layer that is of this class and does what the class does
local function is_a(layer, class)
  return getmetatable(layer) == class and rawget(layer, "forward") == nil
end

--- Of nn's classes makes run(layers, names, i, x): what layers[names[i]], a Conv2d, and those
-- behind it that conv_block can take make of x, and how many they are; nil when they shall go one
-- by one.
function M.runner(nn)
  local Conv2d, BatchNorm2d, ReLU, MaxPool2d = nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d
  return function(layers, names, i, x)
    local conv, at, norm, relu, pool = layers[names[i]], i + 1, nil, false, 1
    if rawget(conv, "forward") ~= nil or conv.groups > 1 or not is_pair(conv.dilation, 1) or
      options.kind(x) ~= "tensor" or x:ndim() ~= 4 or x:size(2) ~= conv.inputs then
      return nil
    end
    local function next_is(class) return names[at] ~= nil and is_a(layers[names[at]], class) end
    if next_is(BatchNorm2d) and layers[names[at]].channels == conv.outputs then
      norm, at = layers[names[at]], at + 1
    end
    if next_is(ReLU) and layers[names[at]]._options == nil then relu, at = true, at + 1 end
    if next_is(MaxPool2d) then
      local last = layers[names[at]]
      if is_pair(last._kernel, 2) and is_pair(last._stride, 2) and is_pair(last._padding, 0) then
        pool, at = 2, at + 1
      end
    end
    if at == i + 1 and not is_handed(x) then return nil end
    return M.block(x, conv, norm, nil, relu, pool), at - i
  end
end

return M
