--- Modules: functions of tensors that own parameters.
--
--     local net = nn.Sequential {
--       nn.Conv2d(1, 16, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(2),
--       nn.Flatten(), nn.Linear(16 * 14 * 14, 64), nn.Normalize(),
--     }
--     local z = net(images)
--
-- A module is a table. Tensors and modules in its fields are found by walking them in the order
-- they were first set (one statement each: Lua does `self.a, self.b = x, y` from the right):
--   nn.parameter(t)      a parameter: trained, in state()
--   another tensor       a buffer: not trained, in state()
--   a module             a child; its parameters are named "field.weight"
--   an array of modules  children named "field.1.weight", ...
--   a name that begins with "_"  is private and never looked at
--
-- Your own module, here a residual bottleneck, is a class with init and forward:
--
--     local Block = nn.class "Block"
--     function Block:init(width, inner)
--       self.down = nn.Linear(width, inner)
--       self.up = nn.Linear(inner, width)
--     end
--     function Block:forward(x) return x + self.up(self.down(x):relu()) end
--     local net = nn.Sequential { Block(64, 16), Block(64, 16), nn.Normalize() }
--
-- Initial values come from an explicit generator: the option `rng` of a constructor, or nn.rng,
-- which nn.seed(n) resets (the seed is 1 until then). Same seed, same order of constructors, same
-- network.
--
-- @module crun.nn
local crun = require "crun"
local fusion = require "crun.nn.fusion"
local initial_values = require "crun.nn.initial"
local module = require "crun.nn.module"
local options = require "crun.options"

local M = {
  rng = crun.rng(1, "nn"), init = initial_values.schemes,
  Module = module.Module, class = module.class, parameter = module.parameter,
}

--- Restarts the generator that initial values are drawn from.
function M.seed(seed) M.rng = crun.rng(seed, "nn") end

local fail, check, kind_of = crun.fail, options.check, options.kind
local fans, uniform, initial = initial_values.fans, initial_values.uniform, initial_values.make

local function is_module(value) return kind_of(value) == "module" end

local function shape_text(shape) return "[" .. table.concat(shape, ", ") .. "]" end

local scheme_option = { "any", "default" }

local function check_size(where, name, value)
  return options.check_value(where, name, value, "count")
end

-- Checks that x is a tensor of `ndim` dimensions (nil: any); hint goes after the message.
local function check_input(where, x, ndim, form)
  if kind_of(x) ~= "tensor" then fail(where, "takes a tensor, got " .. options.say(x)) end
  if ndim and x:ndim() ~= ndim then
    fail(where, ("got %s; it takes %s"):format(shape_text(x:shape()), form))
  end
end

-- ---- containers ---------------------------------------------------------------------------------

--- Modules and plain functions, one after another: Sequential { nn.Linear(4, 2), crun.tanh, {
-- "head", nn.Linear(2, 2) } }. An entry { name, module } names its parameters; the others are named
-- by their place, from 1. Runs of Conv2d, BatchNorm2d, ReLU, MaxPool2d(2) in this order (what
-- follows the first may be left out) are computed together, which gives the same numbers up to
-- rounding, faster; fuse = false goes layer by layer.
local Sequential = M.class "Sequential"
M.Sequential = Sequential

local run_of_layers       -- see fusion.runner

function Sequential:init(entries)
  local where = "nn." .. self.name
  if kind_of(entries) ~= "table" then
    fail(where, "takes one table of modules and functions, got " .. options.say(entries))
  end
  self._names = {}
  self._fuse = options.check_value(where, "fuse", entries.fuse, { "boolean", true })
  for i, entry in ipairs(entries) do
    local name, layer = i, entry
    if kind_of(entry) == "table" and type(entry[1]) == "string" then
      name, layer = entry[1], entry[2]
    end
    if not is_module(layer) and type(layer) ~= "function" then
      fail(where, ("entry %d must be a module or a function, got %s%s"):format(i,
        options.say(layer),
        kind_of(layer) == "table" and layer.__index and
          "; is it a class that was not called, as in nn.ReLU()?" or ""))
    end
    if self[name] ~= nil then fail(where, ("entry %d: the name '%s' is taken"):format(i, name)) end
    self[name], self._names[i] = layer, name
  end
  for key in pairs(entries) do
    local is_entry = math.type(key) == "integer" and key >= 1 and key <= #self._names
    if not is_entry and key ~= "fuse" then
      fail(where, ("entries have no keys, got %s"):format(options.say(key)))
    end
  end
end

function Sequential:forward(x)
  local names, i, taken = self._names, 1, nil
  while names[i] ~= nil do
    local layer, y = self[names[i]], nil
    if self._fuse and getmetatable(layer) == M.Conv2d then
      y, taken = run_of_layers(self, names, i, x)
    end
    if y ~= nil then x, i = y, i + taken else x, i = layer(x), i + 1 end
  end
  return x
end

function Sequential:__len() return #self._names end

--- x + f(x), f being what Sequential would make of the entries. shortcut = module lets x pass
-- through it on its way around: nn.Residual { nn.Conv2d(8, 16, 3, { padding = 1 }), shortcut =
-- nn.Conv2d(8, 16, 1) }.
-- He et al., "Deep residual learning for image recognition", CVPR 2016.
local Residual = M.class("Residual", Sequential)
M.Residual = Residual

function Residual:init(entries)
  local list = entries
  if kind_of(entries) == "table" then
    list = {}
    for key, value in pairs(entries) do if key ~= "shortcut" then list[key] = value end end
    if entries.shortcut ~= nil then
      self.shortcut = options.check_value("nn.Residual", "shortcut", entries.shortcut, "callable")
    end
  end
  Sequential.init(self, list)
end

function Residual:forward(x)
  local y = Sequential.forward(self, x)
  local around = self.shortcut and self.shortcut(x) or x
  local a, b = shape_text(y:shape()), shape_text(around:shape())
  if a ~= b then
    local text = "the layers made %s of %s; give a shortcut that does the same"
    fail("nn.Residual", text:format(a, b))
  end
  return fusion.sum(around, y)
end

--- Any function as a module, with a name for printing.
local Lambda = M.class "Lambda"
M.Lambda = Lambda
function Lambda:init(f, title)
  self._f = options.check_value("nn.Lambda", "its argument", f, "callable")
  self._title = title or "function"
end
function Lambda:forward(...) return self._f(...) end
function Lambda:describe() return self._title end

local Identity = M.class "Identity"
M.Identity = Identity
function Identity:forward(x) return x end

-- ---- layers with weights ------------------------------------------------------------------------

--- y = x W' + b over the last dimension: [..., inputs] -> [..., outputs]. weight [outputs, inputs],
-- bias [outputs].
-- opts: bias (true), init ("default"), rng.
local Linear = M.class "Linear"
M.Linear = Linear

function Linear:init(inputs, outputs, opts)
  local where = "nn.Linear"
  self.inputs = check_size(where, "the number of inputs", inputs)
  self.outputs = check_size(where, "the number of outputs", outputs)
  local o = check(where, opts, { bias = { "boolean", true }, init = scheme_option,
    rng = { "rng", M.rng } })
  self.weight = initial(where, o.init, o.rng, { outputs, inputs })
  if o.bias then self.bias = M.parameter(uniform(o.rng, { outputs }, 1 / math.sqrt(inputs))) end
end

function Linear:forward(x)
  local n = self.inputs
  if kind_of(x) ~= "tensor" or x:ndim() < 1 or x:size(-1) ~= n then
    local where = ("nn.Linear(%d -> %d)"):format(n, self.outputs)
    check_input(where, x)
    local shape = x:shape()
    local rest = 1
    for i = 2, #shape do rest = rest * shape[i] end
    if #shape > 2 and rest == n then
      fail(where, ("got %s; put nn.Flatten() before it"):format(shape_text(shape)))
    elseif #shape > 2 then
      fail(where, ("got %s; use nn.Flatten() and nn.Linear(%d, %d)"):format(shape_text(shape), rest,
        self.outputs))
    end
    fail(where, ("got %s; use nn.Linear(%d, %d)"):format(shape_text(shape), shape[#shape] or 1,
      self.outputs))
  end
  return crun.linear(x, self.weight, self.bias)
end

function Linear:describe()
  return ("%d -> %d%s"):format(self.inputs, self.outputs, self.bias and "" or ", no bias")
end

-- Conv1d and Conv2d differ in the number of dimensions they slide over.
local pair = { words = "a whole number or two", "any" }

local function check_window(where, name, value, n, least, default)
  if value == nil then value = default end
  local list = type(value) == "table" and value or { value }
  if #list ~= 1 and #list ~= n then
    fail(where, ("%s must be 1 or %d whole numbers, got %d"):format(name, n, #list))
  end
  local out = {}
  for i = 1, n do
    out[i] = options.check_value(where, name, list[#list == 1 and 1 or i],
      { "integer", least = least })
  end
  return out
end

local function window_text(list)
  for i = 2, #list do
    if list[i] ~= list[1] then return table.concat(list, "x") end
  end
  return tostring(list[1])
end

local function conv_class(name, n, form)
  local Conv = M.class(name)
  M[name] = Conv

  function Conv:init(inputs, outputs, kernel, opts)
    local where = "nn." .. name
    self.inputs = check_size(where, "the number of input channels", inputs)
    self.outputs = check_size(where, "the number of output channels", outputs)
    if kernel == nil then
      fail(where, ("the kernel size is missing, as in nn.%s(%d, %d, 3)"):format(name, inputs,
        outputs))
    end
    self.kernel = check_window(where, "the kernel", kernel, n, 1)
    local o = check(where, opts, {
      stride = "any?", padding = "any?", dilation = "any?", groups = { "count", 1 },
      bias = { "boolean", true }, init = scheme_option, rng = { "rng", M.rng },
      algorithm = n == 2 and
        { "string", "auto", choices = { "auto", "direct", "winograd", "columns" } } or nil,
    })
    self.stride = check_window(where, "stride", o.stride, n, 1, 1)
    self.dilation = check_window(where, "dilation", o.dilation, n, 1, 1)
    self.groups = o.groups
    if o.padding == "same" then
      o.padding = {}
      for i = 1, n do
        local reach = self.dilation[i] * (self.kernel[i] - 1)
        if reach % 2 == 1 then fail(where, "padding 'same' needs an odd kernel") end
        o.padding[i] = reach // 2
      end
    end
    self.padding = check_window(where, "padding", o.padding, n, 0, 0)
    if inputs % o.groups ~= 0 or outputs % o.groups ~= 0 then
      fail(where, ("groups = %d must divide both channel counts, %d and %d"):format(o.groups,
        inputs, outputs))
    end
    local shape = { outputs, inputs // o.groups, table.unpack(self.kernel) }
    self.weight = initial(where, o.init, o.rng, shape)
    if o.bias then
      self.bias = M.parameter(uniform(o.rng, { outputs }, 1 / math.sqrt((fans(shape)))))
    end
    self.algorithm = o.algorithm
    self._options = { groups = self.groups, algorithm = o.algorithm }
    for _, option in ipairs { "stride", "padding", "dilation" } do
      self._options[option] = n == 1 and self[option][1] or self[option]
    end
  end

  function Conv:forward(x)
    if kind_of(x) ~= "tensor" or x:ndim() ~= n + 2 or x:size(2) ~= self.inputs then
      local where = ("nn.%s(%d -> %d)"):format(name, self.inputs, self.outputs)
      check_input(where, x, n + 2, form:format(self.inputs))
      fail(where, ("got %s; it takes %s, so use nn.%s(%d, %d, ...)"):format(shape_text(x:shape()),
        form:format(self.inputs), name, x:size(2), self.outputs))
    end
    return self:convolve(x)
  end

  function Conv:describe()
    local parts = { ("%d -> %d, kernel %s"):format(self.inputs, self.outputs,
      window_text(self.kernel)) }
    for _, option in ipairs { { "stride", 1 }, { "padding", 0 }, { "dilation", 1 } } do
      local text = window_text(self[option[1]])
      if text ~= tostring(option[2]) then parts[#parts + 1] = option[1] .. " " .. text end
    end
    if self.groups > 1 then parts[#parts + 1] = "groups " .. self.groups end
    if not self.bias then parts[#parts + 1] = "no bias" end
    return table.concat(parts, ", ")
  end
  return Conv
end

--- Conv2d(inputs, outputs, kernel, opts): [B, inputs, H, W] -> [B, outputs, H', W'].
-- kernel, stride (1), padding (0, or "same"), dilation (1): a number or two; groups (1), bias
-- (true), init, rng, algorithm ("auto"; "direct" has the smallest errors: crun.conv2d).
local Conv2d = conv_class("Conv2d", 2, "[B, %d, H, W]")
function Conv2d:convolve(x) return crun.conv2d(x, self.weight, self.bias, self._options) end

--- Conv1d(inputs, outputs, kernel, opts): [B, inputs, T] -> [B, outputs, T'], the same options.
local Conv1d = conv_class("Conv1d", 1, "[B, %d, T]")
function Conv1d:convolve(x) return crun.conv1d(x, self.weight, self.bias, self._options) end

--- Rows of a table: int64 rows of any shape [...] (numbers from 1) -> [..., width]. weight [rows,
-- width], normal by default.
local Embedding = M.class "Embedding"
M.Embedding = Embedding

function Embedding:init(rows, width, opts)
  local where = "nn.Embedding"
  self.rows = check_size(where, "the number of rows", rows)
  self.width = check_size(where, "the width", width)
  local o = check(where, opts, { init = { "any", "unit_normal" }, rng = { "rng", M.rng } })
  self.weight = initial(where, o.init, o.rng, { rows, width })
end

function Embedding:forward(rows)
  check_input("nn.Embedding", rows)
  return crun.embedding(self.weight, rows)
end

function Embedding:describe() return ("%d rows of %d"):format(self.rows, self.width) end

-- ---- normalisation ------------------------------------------------------------------------------

-- BatchNorm1d over [B, C] or [B, C, T], BatchNorm2d over [B, C, H, W]: one class, two checks.
local function batch_norm_class(name, least, most, form)
  local BatchNorm = M.class(name)
  M[name] = BatchNorm

  function BatchNorm:init(channels, opts)
    local where = "nn." .. name
    self.channels = check_size(where, "the number of channels", channels)
    local o = check(where, opts, {
      momentum = { "number", 0.1, least = 0, most = 1 }, eps = { "number", 1e-5, above = 0 },
      affine = { "boolean", true },
    })
    self.momentum, self.eps = o.momentum, o.eps
    if o.affine then
      self.weight = M.parameter(crun.ones(channels))
      self.bias = M.parameter(crun.zeros(channels))
    end
    self.running_mean = crun.zeros(channels)
    self.running_var = crun.ones(channels)
  end

  function BatchNorm:forward(x)
    local where = ("nn.%s(%d)"):format(name, self.channels)
    check_input(where, x)
    if x:ndim() < least or x:ndim() > most or x:size(2) ~= self.channels then
      fail(where, ("got %s; it takes %s"):format(shape_text(x:shape()),
        form:format(self.channels, self.channels)))
    end
    return crun.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
      { training = self.training, momentum = self.momentum, eps = self.eps })
  end

  function BatchNorm:describe() return tostring(self.channels) end
end

--- Batch norm: (x - mean) / sqrt(var + eps) * weight + bias, channel by channel; running statistics
-- in eval mode.
-- opts: momentum (0.1, the weight of the new batch), eps (1e-5), affine (true). Ioffe, Szegedy,
-- ICML 2015.
batch_norm_class("BatchNorm1d", 2, 3, "[B, %d] or [B, %d, T]")
batch_norm_class("BatchNorm2d", 4, 4, "[B, %d, H, W]")

--- Layer norm over the last dimension [..., width]. opts: eps (1e-5), affine (true). Ba, Kiros,
-- Hinton, 2016.
local LayerNorm = M.class "LayerNorm"
M.LayerNorm = LayerNorm

function LayerNorm:init(width, opts)
  local where = "nn.LayerNorm"
  self.width = check_size(where, "the width", width)
  local o = check(where, opts,
    { eps = { "number", 1e-5, above = 0 }, affine = { "boolean", true } })
  self.eps = o.eps
  if o.affine then
    self.weight = M.parameter(crun.ones(width))
    self.bias = M.parameter(crun.zeros(width))
  end
end

function LayerNorm:forward(x)
  check_input("nn.LayerNorm", x)
  if x:ndim() < 1 or x:size(-1) ~= self.width then
    fail(("nn.LayerNorm(%d)"):format(self.width),
      ("got %s; use nn.LayerNorm(%d)"):format(shape_text(x:shape()),
      x:ndim() > 0 and x:size(-1) or 1))
  end
  return crun.layer_norm(x, self.weight, self.bias, { eps = self.eps })
end

function LayerNorm:describe() return tostring(self.width) end

--- Group norm over [B, C, ...]: channels in `groups` groups, each normalised per sample. Wu, He,
-- ECCV 2018.
local GroupNorm = M.class "GroupNorm"
M.GroupNorm = GroupNorm

function GroupNorm:init(groups, channels, opts)
  local where = "nn.GroupNorm"
  self.groups, self.channels = check_size(where, "the number of groups", groups),
    check_size(where, "the number of channels", channels)
  if channels % groups ~= 0 then
    fail(where, ("%d groups must divide %d channels"):format(groups, channels))
  end
  local o = check(where, opts,
    { eps = { "number", 1e-5, above = 0 }, affine = { "boolean", true } })
  self.eps = o.eps
  if o.affine then
    self.weight = M.parameter(crun.ones(channels))
    self.bias = M.parameter(crun.zeros(channels))
  end
end

function GroupNorm:forward(x)
  check_input("nn.GroupNorm", x)
  if x:ndim() < 2 or x:size(2) ~= self.channels then
    fail(("nn.GroupNorm(%d, %d)"):format(self.groups, self.channels),
      ("got %s; it takes [B, %d, ...]"):format(shape_text(x:shape()), self.channels))
  end
  return crun.group_norm(x, self.weight, self.bias, { groups = self.groups, eps = self.eps })
end

function GroupNorm:describe()
  return ("%d groups of %d"):format(self.groups, self.channels // self.groups)
end

-- InstanceNorm1d over [B, C, T], InstanceNorm2d over [B, C, H, W]
local function instance_norm_class(name, ndim, form)
  local InstanceNorm = M.class(name)
  M[name] = InstanceNorm

  function InstanceNorm:init(channels, opts)
    local where = "nn." .. name
    self.channels = check_size(where, "the number of channels", channels)
    local o = check(where, opts,
      { eps = { "number", 1e-5, above = 0 }, affine = { "boolean", false } })
    self.eps = o.eps
    if o.affine then
      self.weight = M.parameter(crun.ones(channels))
      self.bias = M.parameter(crun.zeros(channels))
    end
  end

  function InstanceNorm:forward(x)
    local where = ("nn.%s(%d)"):format(name, self.channels)
    check_input(where, x)
    if x:ndim() ~= ndim or x:size(2) ~= self.channels then
      fail(where, ("got %s; it takes %s"):format(shape_text(x:shape()), form:format(self.channels)))
    end
    return crun.instance_norm(x, self.weight, self.bias, { eps = self.eps })
  end

  function InstanceNorm:describe() return tostring(self.channels) end
end

--- Instance norm: each channel of each sample by its own mean and variance, in training and eval
-- mode alike. opts: eps (1e-5), affine (false, as in torch). Ulyanov, Vedaldi, Lempitsky, 2016.
instance_norm_class("InstanceNorm1d", 3, "[B, %d, T]")
instance_norm_class("InstanceNorm2d", 4, "[B, %d, H, W]")

--- RMS norm over the last dimension [..., width]: x / sqrt(mean x^2 + eps) * weight. opts: eps
-- (1e-5), affine (true). Zhang, Sennrich, NeurIPS 2019.
local RMSNorm = M.class "RMSNorm"
M.RMSNorm = RMSNorm

function RMSNorm:init(width, opts)
  local where = "nn.RMSNorm"
  self.width = check_size(where, "the width", width)
  local o = check(where, opts,
    { eps = { "number", 1e-5, above = 0 }, affine = { "boolean", true } })
  self.eps = o.eps
  if o.affine then self.weight = M.parameter(crun.ones(width)) end
end

function RMSNorm:forward(x)
  check_input("nn.RMSNorm", x)
  if x:ndim() < 1 or x:size(-1) ~= self.width then
    fail(("nn.RMSNorm(%d)"):format(self.width),
      ("got %s; use nn.RMSNorm(%d)"):format(shape_text(x:shape()),
      x:ndim() > 0 and x:size(-1) or 1))
  end
  return crun.rms_norm(x, self.weight, { eps = self.eps })
end

function RMSNorm:describe() return tostring(self.width) end

--- Rows of length one: x / max(|x|_p, eps) along `dim`. opts: p (2), dim (-1), eps (1e-12).
local Normalize = M.class "Normalize"
M.Normalize = Normalize
function Normalize:init(opts)
  self._options = check("nn.Normalize", opts,
    { p = { "number", 2, above = 0 }, dim = { "integer", -1 },
      eps = { "number", 1e-12, least = 0 } })
end
function Normalize:forward(x) return crun.normalize(x, self._options) end

-- ---- dropout ------------------------------------------------------------------------------------

--- Sets entries to 0 with probability p while training, and scales the rest by 1 / (1 - p);
-- Dropout2d drops whole channels. The mask is a function of (seed, step): both are int64 buffers of
-- the state, so a resumed run drops the same entries.
-- The seed is drawn from rng. Srivastava et al., JMLR 2014.
local function dropout_class(name)
  local Dropout = M.class(name)
  M[name] = Dropout
  function Dropout:init(p, opts)
    local where = "nn." .. name
    if type(p) == "table" and opts == nil then opts, p = p, nil end
    self.p = options.check_value(where, "p", p, { "number", 0.5, least = 0, most = 1 })
    local o = check(where, opts, { rng = { "rng", M.rng } })
    self.seed = crun.int { o.rng:below(2 ^ 31 | 0) }
    self.step = crun.int { 0 }
  end
  function Dropout:describe() return ("p %g"):format(self.p) end
  function Dropout:mask_options()
    local step = self.step[1]
    self.step[1] = step + 1
    return { p = self.p, seed = self.seed[1], place = step }
  end
  return Dropout
end

local Dropout = dropout_class "Dropout"
function Dropout:forward(x)
  if not self.training or self.p == 0 then return x end
  return crun.dropout(x, self:mask_options())
end

local Dropout2d = dropout_class "Dropout2d"
function Dropout2d:forward(x)
  if not self.training or self.p == 0 then return x end
  check_input("nn.Dropout2d", x, 4, "[B, C, H, W]")
  return x * crun.dropout(crun.ones(x:size(1), x:size(2), 1, 1), self:mask_options())
end

-- ---- pooling and shape --------------------------------------------------------------------------

-- MaxPool2d(kernel, { stride = kernel, padding = 0 }) and AvgPool2d the same: [B, C, H, W] -> [B,
-- C, H', W']; MaxPool1d and AvgPool1d: [B, C, T] -> [B, C, T'].
local function pool_class(name, op, n, form)
  local Pool = M.class(name)
  M[name] = Pool
  function Pool:init(kernel, opts)
    local where = "nn." .. name
    if kernel == nil then
      fail(where, ("the kernel size is missing, as in nn.%s(2)"):format(name))
    end
    self._kernel = check_window(where, "the kernel", kernel, n, 1)
    local o = check(where, opts, { stride = pair[1] .. "?", padding = pair[1] .. "?" })
    self._stride = check_window(where, "stride", o.stride, n, 1, self._kernel)
    self._padding = check_window(where, "padding", o.padding, n, 0, 0)
    local function given(list) return n == 1 and list[1] or list end
    self._options = { kernel = given(self._kernel), stride = given(self._stride),
      padding = given(self._padding) }
  end
  function Pool:forward(x)
    check_input("nn." .. name, x, n + 2, form)
    return (crun[op](x, self._options))
  end
  function Pool:describe()
    local text = "kernel " .. window_text(self._kernel)
    local stride, padding = window_text(self._stride), window_text(self._padding)
    if stride ~= window_text(self._kernel) then text = text .. ", stride " .. stride end
    return padding == "0" and text or text .. ", padding " .. padding
  end
end

pool_class("MaxPool2d", "max_pool2d", 2, "[B, C, H, W]")
pool_class("AvgPool2d", "avg_pool2d", 2, "[B, C, H, W]")
pool_class("MaxPool1d", "max_pool1d", 1, "[B, C, T]")
pool_class("AvgPool1d", "avg_pool1d", 1, "[B, C, T]")

--- Means over a grid of out x out cells, whatever the size: [B, C, H, W] -> [B, C, out, out]. out:
-- a number or two (1).
local AdaptiveAvgPool2d = M.class "AdaptiveAvgPool2d"
M.AdaptiveAvgPool2d = AdaptiveAvgPool2d
function AdaptiveAvgPool2d:init(size)
  self._size = check_window("nn.AdaptiveAvgPool2d", "the size", size, 2, 1, 1)
end
function AdaptiveAvgPool2d:forward(x)
  check_input("nn.AdaptiveAvgPool2d", x, 4, "[B, C, H, W]")
  return crun.adaptive_avg_pool2d(x, { output_size = self._size })
end
function AdaptiveAvgPool2d:describe() return window_text(self._size) end

--- [B, ...] -> [B, everything].
local Flatten = M.class "Flatten"
M.Flatten = Flatten
function Flatten:forward(x)
  check_input("nn.Flatten", x)
  local B = x:ndim() > 0 and x:size(1) or 1
  return x:reshape(B, B == 0 and 0 or x:numel() // B)
end

-- ---- activations --------------------------------------------------------------------------------

-- nn.ReLU() and the rest: modules around the operator of the same meaning; options go to the
-- operator: nn.LeakyReLU { slope = 0.1 }.
local activations = {
  ReLU = "relu", LeakyReLU = "leaky_relu", ELU = "elu", SELU = "selu", GELU = "gelu", SiLU = "silu",
  Mish = "mish", Sigmoid = "sigmoid", LogSigmoid = "logsigmoid", Tanh = "tanh",
  Softplus = "softplus", Softsign = function(x) return x / (x:abs() + 1) end,
  HardTanh = function(x) return x:clamp { min = -1, max = 1 } end, HardSigmoid = "hardsigmoid",
  HardSwish = "hardswish", ReLU6 = "relu6", Softmax = "softmax",
  LogSoftmax = "log_softmax",
  -- max(0, x) + min(0, alpha (exp(x / alpha) - 1)), alpha 1. Barron, 2017.
  CELU = function(x, o)
    local alpha = o and o.alpha or 1
    return crun.elu(x / alpha) * alpha
  end,
}

for name, op in pairs(activations) do
  local Activation = M.class(name)
  function Activation:init(opts)
    if opts ~= nil then
      self._options = options.check_value("nn." .. name, "its options", opts, "table")
    end
  end
  function Activation:forward(x)
    local f = type(op) == "function" and op or crun[op]
    if self._options then return f(x, self._options) end
    return f(x)
  end
  M[name] = Activation
end

--- max(0, x) + weight min(0, x) with a learnt slope, one or one a channel (dimension 2):
-- nn.PReLU(channels).
-- He et al., ICCV 2015.
local PReLU = M.class "PReLU"
M.PReLU = PReLU
function PReLU:init(channels, opts)
  channels = options.check_value("nn.PReLU", "the number of channels", channels, { "count", 1 })
  local o = check("nn.PReLU", opts, { slope = { "number", 0.25 } })
  self.weight = M.parameter(crun.full({ channels }, o.slope))
end
function PReLU:forward(x)
  check_input("nn.PReLU", x)
  local n, weight = self.weight:size(1), self.weight
  if n > 1 then
    if x:ndim() < 2 or x:size(2) ~= n then
      fail(("nn.PReLU(%d)"):format(n),
        ("got %s; dimension 2 must be %d"):format(shape_text(x:shape()), n))
    end
    local shape = { n }
    for i = 2, x:ndim() - 1 do shape[i] = 1 end
    weight = weight:reshape(shape)
  end
  return x:relu() - weight * (-x):relu()
end
function PReLU:describe() return tostring(self.weight:size(1)) end

run_of_layers = fusion.runner(M)

-- GRU, LSTM, RNN
require "crun.nn.recurrent"(M)
-- BasicBlock, ResNet
require "crun.nn.resnet"(M)

return M
