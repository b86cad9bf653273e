--- How the golden cases of `ops` are said in crun. Axes and row numbers are 0-based there and 1-based here.
local crun = require "crun"
local M = {}

local function axis(a) return a >= 0 and a + 1 or a end
local function axes(list)
  if list == nil then return nil end
  if type(list) == "number" then return { axis(list) } end
  local out = {}
  for i, a in ipairs(list) do out[i] = axis(a) end
  return out
end
local function one_based(index) return index + 1 end
local function zero_based(index) return index - 1 end
local function as_int(mask) return mask:int() end

local unary = { "abs", "acos", "asin", "atan", "ceil", "cos", "erf", "exp", "expm1", "floor", "gelu", "hardsigmoid",
  "hardswish", "log", "log1p", "logsigmoid", "mish", "neg", "reciprocal", "relu", "relu6", "round", "rsqrt", "selu",
  "sigmoid", "sign", "silu", "sin", "sqrt", "square", "tan", "tanh", "inverse" }
for _, name in ipairs(unary) do M[name] = function(_, i) return crun[name](i.x) end end

local binary = { "add", "sub", "mul", "div", "maximum", "minimum", "outer" }
for _, name in ipairs(binary) do M[name] = function(_, i) return crun[name](i.x, i.y) end end

for _, name in ipairs { "eq", "ne", "lt", "le", "gt", "ge" } do
  M[name] = function(_, i) return as_int(crun[name](i.x, i.y)) end
end

local reductions = { "sum", "mean", "amax", "amin", "logsumexp" }
for _, name in ipairs(reductions) do
  M[name] = function(p, i) return crun[name](i.x, { dim = axes(p.axes), keepdim = p.keepdim or false }) end
end
for _, name in ipairs { "var", "std" } do
  M[name] = function(p, i)
    return crun[name](i.x, { dim = axes(p.axes), keepdim = p.keepdim or false, correction = p.unbiased and 1 or 0 })
  end
end
function M.norm(p, i)
  local order = p.p == "inf" and math.huge or p.p
  return crun.norm(i.x, { p = order, dim = axes(p.axes), keepdim = p.keepdim or false })
end
for _, name in ipairs { "softmax", "log_softmax", "cumsum", "cumprod", "prod" } do
  M[name] = function(p, i) return crun[name](i.x, { dim = p.axis and axis(p.axis) }) end
end
for _, name in ipairs { "argmax", "argmin" } do
  M[name] = function(p, i) return zero_based(crun[name](i.x, { dim = p.axis and axis(p.axis) })) end
end
function M.max(p, i)
  local values, index = crun.max(i.x, { dim = axis(p.axis) })
  return { out = values, index = zero_based(index) }
end
function M.median(_, i) return (crun.median(i.x)) end

function M.elu(p, i) return crun.elu(i.x, { alpha = p.alpha }) end
function M.leaky_relu(p, i) return crun.leaky_relu(i.x, { slope = p.slope }) end
function M.softplus(p, i) return crun.softplus(i.x, { beta = p.beta }) end
function M.gelu_tanh(_, i) return crun.gelu(i.x, { approximate = "tanh" }) end
function M.clamp(p, i) return crun.clamp(i.x, { min = p.min, max = p.max }) end
function M.lerp(p, i) return crun.lerp(i.x, i.y, p.weight) end
function M.pow(p, i) return crun.pow(i.x, i.y or p.exponent) end
function M.where(_, i) return crun.where(i.cond:byte(), i.x, i.y) end
function M.masked_fill(p, i) return crun.masked_fill(i.x, i.mask:byte(), p.value) end
function M.masked_select(_, i) return crun.masked_select(i.x, i.mask:byte()) end

-- products and convolutions
function M.matmul(p, i)
  return crun.matmul(i.x, i.y, { transpose_x = p.transpose_x or false, transpose_y = p.transpose_y or false })
end
function M.linear(_, i) return crun.linear(i.x, i.weight, i.bias) end
function M.einsum(p, i)
  local operands = {}
  for k = 0, 9 do operands[#operands + 1] = i["x" .. k] end
  return crun.einsum(operands, { equation = p.equation })
end
for _, name in ipairs { "conv1d", "conv2d" } do
  M[name] = function(p, i)
    return crun[name](i.x, i.weight, i.bias,
      { stride = p.stride, padding = p.padding, dilation = p.dilation, groups = p.groups })
  end
end
function M.conv_transpose2d(p, i)
  return crun.conv_transpose2d(i.x, i.weight, i.bias, { stride = p.stride, padding = p.padding,
    output_padding = p.output_padding, dilation = p.dilation, groups = p.groups })
end
function M.unfold(p, i)
  return crun.unfold(i.x, { kernel = p.kernel, stride = p.stride, padding = p.padding, dilation = p.dilation })
end
for _, name in ipairs { "avg_pool1d", "avg_pool2d" } do
  M[name] = function(p, i)
    return crun[name](i.x, { kernel = p.kernel, stride = p.stride, padding = p.padding,
      ceil_mode = p.ceil_mode or false, count_include_pad = p.count_include_pad })
  end
end
function M.max_pool1d(p, i)
  return (crun.max_pool1d(i.x, { kernel = p.kernel, stride = p.stride, padding = p.padding }))
end
function M.max_pool2d(p, i)
  local out, index = crun.max_pool2d(i.x, { kernel = p.kernel, stride = p.stride, padding = p.padding,
    dilation = p.dilation, ceil_mode = p.ceil_mode or false, return_indices = p.return_indices or false })
  return { out = out, index = index and zero_based(index) }
end
for _, name in ipairs { "adaptive_avg_pool2d", "adaptive_max_pool2d" } do
  M[name] = function(p, i) return (crun[name](i.x, { output_size = p.output_size })) end
end

-- shapes and indices
function M.concat(p, i) return crun.cat({ i.x, i.y, i.z }, axis(p.axis)) end
function M.stack(p, i) return crun.stack({ i.x, i.y }, axis(p.axis)) end
function M.split(p, i)
  local a, b, c = crun.split(i.x, { dim = axis(p.axis), sizes = p.sizes })
  return { out0 = a, out1 = b, out2 = c }
end
function M.reshape(p, i)
  local x = i.x
  if p.transpose_first then x = x:transpose(axis(p.transpose_first[1]), axis(p.transpose_first[2])) end
  return x:reshape(p.shape)
end
function M.flatten(p, i) return crun.flatten(i.x, { start = axis(p.start) }) end
function M.unsqueeze(p, i) return crun.unsqueeze(i.x, axis(p.axis)) end
function M.transpose(p, i) return crun.transpose(i.x, axis(p.axes[1]), axis(p.axes[2])) end
function M.permute(p, i) return crun.permute(i.x, axes(p.order)) end
function M.expand(p, i) return crun.expand(i.x, p.shape) end
M["repeat"] = function(p, i) return crun.tile(i.x, p.repeats) end
function M.repeat_interleave(p, i)
  return crun.repeat_interleave(i.x, { repeats = p.repeats, dim = axis(p.axis) })
end
function M.flip(p, i) return crun.flip(i.x, { dims = axes(p.axes) }) end
function M.roll(p, i) return crun.roll(i.x, { shift = p.shift, dim = axis(p.axis) }) end
function M.pad(p, i)
  return crun.pad(i.x, { amounts = p.pad_left_right_top_bottom, mode = p.mode, value = p.value or 0 })
end
for _, name in ipairs { "tril", "triu" } do
  M[name] = function(p, i) return crun[name](i.x, { diagonal = p.diagonal }) end
end
function M.diag(_, i) return crun.diag(i.x) end
function M.one_hot(p, i) return crun.one_hot(one_based(i.x), { classes = p.classes }):int() end
function M.bincount(p, i) return crun.bincount(one_based(i.x), { minlength = p.minlength }) end
function M.nonzero(_, i) return zero_based(crun.nonzero(i.x)) end
function M.unique(_, i)
  local values, inverse, counts = crun.unique(i.x)
  return { out = values, inverse = zero_based(inverse), count = counts }
end
function M.gather(p, i) return crun.gather(i.x, one_based(i.index), axis(p.axis)) end
function M.scatter(p, i)
  return crun.scatter(i.x, one_based(i.index), i.src, { dim = axis(p.axis), value = p.value })
end
function M.scatter_add(p, i) return crun.scatter_add(i.x, one_based(i.index), i.src, { dim = axis(p.axis) }) end
function M.index_select(p, i) return crun.index_select(i.x, one_based(i.index), axis(p.axis)) end
function M.index_add(p, i)
  return crun.index_add(i.x, one_based(i.index), i.src, { dim = axis(p.axis), alpha = p.alpha })
end
function M.index_pairs(_, i) return crun.index_pairs(i.x, one_based(i.row), one_based(i.column)) end
function M.embedding(p, i)
  return crun.embedding(i.weight, one_based(i.index), { padding = p.padding_idx and p.padding_idx + 1 })
end
function M.searchsorted(p, i) return zero_based(crun.searchsorted(i.x, i.v, { side = p.side })) end
function M.sort(p, i)
  local values, index = crun.sort(i.x, { dim = axis(p.axis), descending = p.descending })
  return { out = values, index = zero_based(index) }
end
function M.topk(p, i)
  local values, index = crun.topk(i.x, { k = p.k, dim = axis(p.axis), largest = p.largest })
  return { out = values, index = zero_based(index) }
end
function M.slice(p, i)
  -- per axis: a number selects, a table slices; 0-based with an exclusive stop, which is an inclusive one from 1
  local x, d = i.x, 1
  for _, a in ipairs(p.axes) do
    if type(a) == "number" then
      x = x:select(d, axis(a))
    else
      local n, step = x:size(d), a.step or 1
      local function from_end(v) return v < 0 and v + n or v end
      local first = math.max(from_end(a.start or 0), 0)
      local stop = math.min(from_end(a.stop or n), n)
      local count = math.max((stop - first + step - 1) // step, 0)
      local index = {}
      for k = 1, count do index[k] = first + (k - 1) * step + 1 end
      x = step == 1 and x:narrow(d, first + 1, count) or x:index_select(crun.int(index), d)
      d = d + 1
    end
  end
  return x
end

-- normalisation, attention, distances
function M.batch_norm(p, i)
  local out = crun.batch_norm(i.x, i.weight, i.bias, i.running_mean, i.running_var,
    { training = p.training, momentum = p.momentum, eps = p.eps })
  return { out = out, running_mean = i.running_mean, running_var = i.running_var }
end
function M.layer_norm(p, i)
  return crun.layer_norm(i.x, i.weight, i.bias, { normalized_shape = p.normalized_shape, eps = p.eps })
end
function M.group_norm(p, i) return crun.group_norm(i.x, i.weight, i.bias, { groups = p.groups, eps = p.eps }) end
function M.instance_norm(p, i) return crun.instance_norm(i.x, i.weight, i.bias, { eps = p.eps }) end
function M.rms_norm(p, i) return crun.rms_norm(i.x, i.weight, { eps = p.eps }) end
function M.normalize(p, i) return crun.normalize(i.x, { p = p.p, dim = axis(p.axis), eps = p.eps }) end
function M.dropout(p, i) return p.training and crun.dropout(i.x, { p = p.p }) or i.x * 1 end
function M.interpolate(p, i)
  return crun.interpolate(i.x, { size = p.size, mode = p.mode, align_corners = p.align_corners or false })
end
function M.scaled_dot_product_attention(p, i)
  return crun.scaled_dot_product_attention(i.query, i.key, i.value, { causal = p.causal })
end
function M.cosine_similarity(p, i) return crun.cosine_similarity(i.x, i.y, { dim = axis(p.axis), eps = p.eps }) end
function M.pairwise_distance(p, i) return crun.pairwise_distance(i.x, i.y, { p = p.p, eps = p.eps }) end
function M.cdist(p, i)
  return crun.cdist(i.x, (not p.self) and i.y or nil, { p = p.p == "inf" and math.huge or p.p })
end

-- losses of plain tensors
local function loss(name, options)
  return function(p, i)
    local o = options and options(p) or {}
    o.reduction = p.reduction
    return crun.losses[name](o)(i.x, i.y or i.target)
  end
end
M.mse_loss, M.l1_loss = loss "mse", loss "l1"
M.huber_loss = loss("huber", function(p) return { delta = p.delta } end)
M.smooth_l1_loss = loss("smooth_l1", function(p) return { beta = p.beta } end)
-- the two that torch takes log-probabilities for are given logits
function M.kl_div(p, i)
  return crun.losses.kl_div { reduction = p.reduction, log_target = p.log_target or false } (i.x:log_softmax(-1), i.target)
end
M.bce_loss = loss("binary_cross_entropy", function() return { from = "probabilities" } end)
M.bce_with_logits = loss("binary_cross_entropy", function() return { from = "logits" } end)
M.hinge_embedding_loss = loss("hinge_embedding", function(p) return { margin = p.margin } end)
function M.nll_loss(p, i)
  return crun.losses.nll { reduction = p.reduction } (i.x:log_softmax(-1), one_based(i.target))
end
function M.cosine_embedding_loss(p, i)
  return crun.losses.cosine_embedding { margin = p.margin, reduction = p.reduction } (i.x, i.y, i.target)
end
function M.margin_ranking_loss(p, i)
  return crun.losses.margin_ranking { margin = p.margin, reduction = p.reduction } (i.x, i.y, i.target)
end

-- recurrent cells and sequences: built when the operator is
local function gates(i, names)
  local list = {}
  for k, name in ipairs(names) do list[k] = i[name] end
  return table.unpack(list, 1, #names)
end
function M.rnn_cell(p, i)
  return crun.rnn_cell(gates(i, { "x", "h0", "w_ih", "w_hh", "b_ih", "b_hh" }))
end
function M.gru_cell(_, i) return crun.gru_cell(gates(i, { "x", "h0", "w_ih", "w_hh", "b_ih", "b_hh" })) end
function M.lstm_cell(_, i)
  local h, c = crun.lstm_cell(gates(i, { "x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh" }))
  return { h = h, c = c }
end

-- whole sequences, by the modules, whose parameters are called as the cases' inputs
for name, class in pairs { rnn = "RNN", gru = "GRU", lstm = "LSTM" } do
  M[name] = function(p, i)
    local layer = crun.nn[class](i.x:size(3), p.hidden, { layers = p.layers, bidirectional = p.bidirectional })
    for key in pairs(layer:state()) do
      layer[key] = i[key:gsub("^weight", "w"):gsub("^bias", "b")]
    end
    local out, hn, cn = layer(i.x, { h0 = i.h0, c0 = i.c0 })
    return { out = out, hn = hn, cn = cn }
  end
end

--- A case whose operator is not there yet is skipped, not failed.
local native = { concat = "cat", ["repeat"] = "tile", gelu_tanh = "gelu", slice = "select", mse_loss = "losses.mse",
  l1_loss = "losses.l1", huber_loss = "losses.huber", smooth_l1_loss = "losses.smooth_l1", kl_div = "losses.kl_div",
  bce_loss = "losses.binary_cross_entropy", bce_with_logits = "losses.binary_cross_entropy",
  hinge_embedding_loss = "losses.hinge_embedding", nll_loss = "losses.nll",
  cosine_embedding_loss = "losses.cosine_embedding", margin_ranking_loss = "losses.margin_ranking" }
function M.skip(case)
  local name = native[case["function"]] or case["function"]
  local room, inner = name:match("^(%w+)%.(.+)$")
  local built = room and crun[room] and crun[room][inner] or not room and crun[name]
  if not built then return "not built" end
end

return M
