--- Residual networks for small images: nn.BasicBlock and nn.ResNet.
-- He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2.
--
-- @module crun.nn.resnet
local crun = require "crun"
local fusion = require "crun.nn.fusion"
local options = require "crun.options"

return function(nn)
  local check_value = options.check_value

  --- relu(bn(conv3x3(relu(bn(conv3x3(x))))) + shortcut(x)): [B, inputs, H, W] -> [B, outputs,
  -- H', W']; the first convolution takes steps of stride (1). The shortcut is x itself, or a
  -- convolution 1 x 1 with batch norm where the shapes differ. opts: init, rng, as in Conv2d.
  local BasicBlock = nn.class "BasicBlock"
  nn.BasicBlock = BasicBlock

  function BasicBlock:init(inputs, outputs, stride, opts)
    stride = check_value("nn.BasicBlock", "stride", stride, { "count", 1 })
    local function conv(from, kernel, step)
      return nn.Conv2d(from, outputs, kernel, { stride = step, padding = kernel // 2, bias = false,
        init = opts and opts.init, rng = opts and opts.rng })
    end
    options.check("nn.BasicBlock", opts, { init = "any?", rng = "rng?" })
    self.conv1 = conv(inputs, 3, stride)
    self.bn1 = nn.BatchNorm2d(outputs)
    self.conv2 = conv(outputs, 3, 1)
    self.bn2 = nn.BatchNorm2d(outputs)
    if stride > 1 or inputs ~= outputs then
      self.shortcut = nn.Sequential { conv(inputs, 1, stride), nn.BatchNorm2d(outputs) }
    end
  end

  function BasicBlock:forward(x)
    return fusion.residual(x, self.conv1, self.bn1, self.conv2, self.bn2,
      self.shortcut and self.shortcut(x))
  end

  function BasicBlock:describe()
    return ("%d -> %d, stride %d"):format(self.conv1.inputs, self.conv1.outputs,
      self.conv1.stride[1])
  end

  --- A convolution 3 x 3 with batch norm and ReLU, stages of basic blocks, the first block of each
  -- stage but the first with stride 2, and the mean over the places:
  -- [B, channels, H, W] -> [B, widths[#widths]].
  --
  --     local net = nn.Sequential { nn.ResNet { depth = 20 }, nn.Linear(64, 128), nn.Normalize() }
  --
  -- opts: depth (20: its layers with weights, the classifier's counted, 2 + 2 #widths blocks a
  -- stage: 8, 14, 20, 32, 44, 56 for three stages), widths ({ 16, 32, 64 }), channels (3), init,
  -- rng.
  local ResNet = nn.class "ResNet"
  nn.ResNet = ResNet

  function ResNet:init(opts)
    local where = "nn.ResNet"
    local o = options.check(where, opts, { depth = { "count", 20 }, channels = { "count", 3 },
      widths = "table?", init = "any?", rng = "rng?" })
    local widths = o.widths or { 16, 32, 64 }
    for _, width in ipairs(widths) do check_value(where, "each of widths", width, "count") end
    local each = #widths > 0 and (o.depth - 2) / (2 * #widths) or 0
    if each < 1 or each % 1 ~= 0 then
      crun.fail(where, ("depth must be 2 + %d n for %d widths, got %d"):format(2 * #widths, #widths,
        o.depth))
    end
    self._depth = o.depth
    local given = { init = o.init, rng = o.rng }
    self.stem = nn.Sequential {
      nn.Conv2d(o.channels, widths[1], 3, { padding = 1, bias = false, init = o.init, rng = o.rng }),
      nn.BatchNorm2d(widths[1]), nn.ReLU(),
    }
    local stages, inputs = {}, widths[1]
    for s, width in ipairs(widths) do
      stages[s] = {}
      for i = 1, each do
        stages[s][i] = nn.BasicBlock(inputs, width, s > 1 and i == 1 and 2 or 1, given)
        inputs = width
      end
    end
    self.stages = stages
  end

  function ResNet:forward(x)
    x = self.stem(x)
    for _, stage in ipairs(self.stages) do
      for _, block in ipairs(stage) do x = block(x) end
    end
    return fusion.global_mean(x)
  end

  function ResNet:describe() return ("depth %d"):format(self._depth) end
end
