--- Exact gradients of a batch that does not fit into memory, for any loss and any network.
--
--     local criterion = crun.loss.micro(crun.losses.ntxent {}, { pieces = 8 })
--     opt:zero_grad()
--     local loss = criterion(net, images, labels)        -- adds the gradient of the whole batch
--     opt:step()
--
-- A pair loss sees all rows of a batch at once, so cutting the batch in pieces and adding up their
-- losses is another loss. What is large, though, are the activations of the network, not the
-- embeddings. So:
--
--   1. embed the batch in pieces, without a graph
--   2. the loss of all embeddings, and its gradient g_i by each embedding z_i
--   3. embed each piece again, with a graph, and go back from <z_i, g_i>
--
-- The gradient is that of the whole batch, but for the order of sums. Memory for activations is
-- that of one piece, time one more forward pass; `keep` pieces keep their graph from the first pass
-- and are embedded once. Gao, Zhang, Han, Callan, "Scaling deep contrastive learning batch size
-- under memory limited setup", RepL4NLP 2021 (GradCache).
--
--   criterion(net, x, ...)       x: a tensor of B rows; net(x) gives the embeddings [B, D]; then
--                                what the loss takes after them: labels, a relation ...
--   criterion(net, { x1, x2 })   the loss of two views (or more), one net, or { net1, net2 }
--   criterion(z, ...)            embeddings: the loss itself, with its graph
--   criterion.loss               the loss inside: criterion.loss.margin = 0.3
--
-- It returns the loss without a graph: there is nothing left to go back from.
--
-- The network must treat rows apart. nn.BatchNorm in training mode does not: its statistics would
-- be those of a piece. It is refused; put it in eval mode (bn:eval()) to train with its running
-- statistics, or use LayerNorm or GroupNorm. nn.Dropout draws the same masks as for the whole
-- batch, and its step advances as if the batch had been whole. Every piece must embed to the same
-- bits the second time; a network that draws random numbers of its own is found out by that.
--
-- @module crun.micro
local crun = require "crun"
local options = require "crun.options"
local wrapper = require "crun.loss.wrapper"

local M = {}
local WHERE <const> = "loss.micro"
local fail, kind_of = crun.fail, options.kind

-- ---- dropout: the masks of the whole batch ------------------------------------------------------

-- The dropout layers of some networks, made to draw by the row numbers of the whole batch while
-- this stands.
local Masks = {}
Masks.__index = Masks

local function modules_of(nets)
  local list, seen = {}, {}
  for _, net in ipairs(nets) do
    for _, module in ipairs(kind_of(net) == "module" and net:modules() or {}) do
      if not seen[module] then
        seen[module] = true
        list[#list + 1] = module
      end
    end
  end
  return list
end

local recurrent <const> = { RNN = true, GRU = true, LSTM = true }

local function check_module(module)
  if not module.training then return end
  if module.running_mean and module.running_var then
    fail(WHERE, ("nn.%s in training mode takes its statistics over a piece, not over the batch: "
      .. "put it in eval mode, or use LayerNorm or GroupNorm"):format(module.name))
  end
  if recurrent[module.name] and module.dropout and module.dropout.p > 0 then
    fail(WHERE, ("the dropout between the layers of nn.%s goes by steps, not by rows: its masks "
      .. "would differ from those of the whole batch"):format(module.name))
  end
end

local function new_masks(nets)
  local self = setmetatable({ layers = {} }, Masks)
  local modules = modules_of(nets)
  for _, module in ipairs(modules) do check_module(module) end
  for _, module in ipairs(modules) do
    if module.mask_options then self:take(module) end
  end
  return self
end

function Masks:take(module)
  local layer = { module = module, base = module.step[1], calls = 0, rows = 0,
    forward = rawget(module, "forward"), mask_options = rawget(module, "mask_options") }
  self.layers[#self.layers + 1] = layer
  local forward = module.forward
  rawset(module, "forward", function(m, x)
    layer.rows = x:size(1)
    return forward(m, x)
  end)
  rawset(module, "mask_options", function(m)
    local each = layer.rows // self.rows
    if each * self.rows ~= layer.rows then
      fail(WHERE, ("nn.%s got %d rows of a piece of %d; its first dimension must be that of the "
        .. "batch, or a multiple"):format(m.name, layer.rows, self.rows))
    end
    local step = layer.base + layer.calls
    layer.calls = layer.calls + 1
    return { p = m.p, seed = m.seed[1], place = { step, (self.first - 1) * each + 1 } }
  end)
end

--- The next pieces are of a network call that began with these steps; nil: with those of now.
-- Returns them.
function Masks:call(bases)
  local now = {}
  for i, layer in ipairs(self.layers) do
    if bases then layer.base = bases[i] end
    now[i] = layer.base
  end
  return now
end

function Masks:piece(first, rows)
  self.first, self.rows = first, rows
  for _, layer in ipairs(self.layers) do layer.calls = 0 end
end

--- The network call is over: the steps advance as for one batch.
function Masks:done()
  for _, layer in ipairs(self.layers) do layer.base, layer.calls = layer.base + layer.calls, 0 end
end

--- All went well: the layers keep their new steps.
function Masks:commit(bases)
  for i, layer in ipairs(self.layers) do layer.module.step[1] = bases[i] end
end

function Masks:__close()
  for _, layer in ipairs(self.layers) do
    rawset(layer.module, "forward", layer.forward)
    rawset(layer.module, "mask_options", layer.mask_options)
  end
end

-- ---- pieces -------------------------------------------------------------------------------------

-- { first row, rows } of n rows in pieces: as many as asked for, of sizes that differ by one at
-- most
local function cut(self, n)
  local count = self.pieces or (n + self.rows - 1) // self.rows
  count = math.max(1, math.min(count, n))
  local list, first = {}, 1
  for i = 1, count do
    local rows = n // count + (i <= n % count and 1 or 0)
    list[i] = { first = first, rows = rows }
    first = first + rows
  end
  return list
end

local function embed(self, view, piece, masks)
  masks:piece(piece.first, piece.rows)
  local x = view.x:narrow(1, piece.first, piece.rows)
  if self.transform then x = self.transform(x, piece.first) end
  local z = view.net(x)
  if kind_of(z) ~= "tensor" or z:ndim() < 1 or z:size(1) ~= piece.rows then
    local text = "net must give a tensor of a row for each of the %d rows it is given, got %s"
    local got = kind_of(z) == "tensor" and "[" .. table.concat(z:shape(), ", ") .. "]"
    fail(WHERE, text:format(piece.rows, got or options.say(z)))
  end
  return z
end

-- 1: the embeddings of a view, a leaf of the loss; pieces that are kept hold their z
local function embed_all(self, view, masks)
  view.bases = masks:call()
  local parts = {}
  for i, piece in ipairs(view.pieces) do
    if i <= self.keep then
      piece.z = embed(self, view, piece, masks)
      parts[i] = piece.z:detach()
    else
      local _ <close> = crun.no_grad()
      parts[i] = embed(self, view, piece, masks)
    end
  end
  masks:done()
  local _ <close> = crun.no_grad()
  view.z = #parts == 1 and parts[1]:clone() or crun.cat(parts, 1)
  view.z:requires_grad_()
end

local function same_bits(a, b) return a:eq(b):logical_or(a:isnan()):all():item() == 1 end

-- 3: back through the network, piece by piece
local function back(self, view, masks)
  local g = view.z:grad()
  if not g then return end
  masks:call(view.bases)
  for _, piece in ipairs(view.pieces) do
    local z = piece.z or embed(self, view, piece, masks)
    piece.z = nil
    local given = view.z:detach():narrow(1, piece.first, piece.rows)
    if not same_bits(z:detach(), given) then
      fail(WHERE, "the network gave other embeddings the second time: it must be a function of its "
        .. "rows alone (it may draw random numbers of its own, or keep a state)")
    end
    if z:wants_grad() then z:backward(g:narrow(1, piece.first, piece.rows)) end
  end
end

local function is_list(value) return kind_of(value) == "table" end

local function views_of(self, net, x)
  local xs = is_list(x) and x or { x }
  local nets = is_list(net) and net or nil
  local views = {}
  if #xs == 0 then
    fail(WHERE, "x must be a tensor of rows, or a list of those, got an empty table")
  end
  if nets and #nets ~= #xs then
    fail(WHERE, ("%d networks need as many views, got %d"):format(#nets, #xs))
  end
  for i, one in ipairs(xs) do
    options.check_value(WHERE, "x", one, "tensor")
    options.check_value(WHERE, "net", nets and nets[i] or net, "callable")
    if one:ndim() < 1 or one:size(1) == 0 then fail(WHERE, "x must have a row or more") end
    views[i] = { net = nets and nets[i] or net, x = one, pieces = cut(self, one:size(1)) }
  end
  return views
end

local function forward(self, net, x, ...)
  local criterion = self._children[1]
  if kind_of(net) == "tensor" then return criterion(net, x, ...) end
  local views, nets, embeddings = views_of(self, net, x), {}, {}
  for i, view in ipairs(views) do nets[i] = view.net end
  local masks <close> = new_masks(nets)
  for i, view in ipairs(views) do
    embed_all(self, view, masks)
    embeddings[i] = view.z
  end
  local steps = masks:call()

  local arguments = table.pack(...)
  table.move(arguments, 1, arguments.n, #views + 1, embeddings)
  local loss = criterion(table.unpack(embeddings, 1, #views + arguments.n))
  self.stats = type(criterion) ~= "function" and criterion.stats or {}
  if kind_of(loss) ~= "tensor" or loss:numel() ~= 1 then
    fail(WHERE, "the loss must be a tensor of one number")
  end
  if loss:wants_grad() then
    loss:backward()
    for _, view in ipairs(views) do back(self, view, masks) end
  end
  masks:commit(steps)
  return loss:detach()
end

local make_wrapper = wrapper.constructor("micro", "exact gradients of a batch larger than memory, in pieces", {
  loss = "any", pieces = "count?", rows = "count?", keep = "integer", transform = "callable?",
}, function(self, o)
  self._children, self._where, self.loss = { o.loss }, WHERE, o.loss
  self.pieces, self.rows, self.keep, self.transform = o.pieces, o.rows, o.keep, o.transform
end, forward)

--- A criterion that takes (net, x, ...) and works in pieces: see above.
-- criterion: any loss. opts: pieces, how many to cut a batch in, or rows, how many rows a piece may
-- have (give one of the two, or the number of pieces in place of the table); keep, how many pieces
-- keep their graph from the first pass (0); transform(x, first), what to do to the rows of a piece
-- before the network sees them (cast, augment: a function of the rows alone, it runs twice).
function M.new(criterion, opts)
  if type(opts) == "number" then opts = { pieces = opts } end
  local o = options.check(WHERE, opts, {
    pieces = "count?", rows = "count?", keep = { "integer", 0, least = 0 }, transform = "callable?",
  })
  if (o.pieces == nil) == (o.rows == nil) then
    fail(WHERE, "takes pieces (how many) or rows (of a piece), one of the two")
  end
  o.loss = criterion
  return make_wrapper(o)
end

--- A constructor of losses that knows one option more, micro: a number of pieces, or the options of
-- M.new. constructor { margin = 0.2, micro = 8 } is M.new(constructor { margin = 0.2 }, 8).
function M.option(constructor)
  return function(opts)
    if kind_of(opts) ~= "table" or rawget(opts, "micro") == nil then return constructor(opts) end
    local own = {}
    for key, value in pairs(opts) do
      if key ~= "micro" then own[key] = value end
    end
    return M.new(constructor(own), opts.micro)
  end
end

return M
