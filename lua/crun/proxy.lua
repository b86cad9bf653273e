--- Losses that own weights: a row, or a few, for every class.
--
--     local criterion = crun.losses.arcface { classes = 100, dim = 64, margin = 28.6, scale = 64 }
--     local opt = crun.optim.Adam({ net, criterion }, { lr = 1e-3 })
--     local loss = criterion(z, labels)                  -- z [B 64], labels [B]
--
-- Such a loss is an nn.Module: parameters(), state(), load(), and its weight goes to the optimiser
-- with the network's. A weight that has a gradient and is in no optimiser is an error at the first
-- step. Options are fields, read and set at any time: criterion.margin = 20; criterion.stats tells
-- how the last batch stood (accuracy, mean distances).
--
-- Options of all of them, beside those of the formula (crun help loss NAME):
--   classes     a number C: labels are 1 .. C. Or the labels themselves, any whole numbers, as a
--               list or an int tensor (repeats count once, in order of size): { 7, 12, -1 }. The
--               map is kept in the state, and criterion:class_map() returns it
--   dim         the width of embeddings
--   weights     a tensor [C D] to use instead of fresh ones; classes and dim may then be left out
--   init, rng   a name of nn.init or a function (rng, shape) -> tensor; nn.rng unless given. By
--               default as in pytorch-metric-learning: normal with deviation 1, but uniform in
--               +-1/sqrt(rows) in soft_triple, normal with sqrt(2/C) in proxy_anchor, unit rows in
--               p2sgrad
--   lr_scale    learning rate of the weights, as a ratio to the optimiser's: a group of its own
--   reducer     crun.reducers, in place of reduction
--   regularizer, weight_regularizer      { crun.regularizers.NAME { }, weight } on z and on weights
--
-- criterion(z, labels, x): labels may be a crun.relation; x is a weight for each item [B], or what
-- a miner returned. Pairs and triplets weigh an item by how often they name it, by the most
-- frequent one, as in pytorch-metric-learning; with none at all every item counts 1.
--
-- Without classes, dim and weights the criterion is the plain one of crun.native.losses, called
-- with everything: criterion(z, labels, weights, item_weights), labels from 1. skip_gram and nce
-- are in crun.proxy.sampled.
--
-- @module crun.proxy
local crun = require "crun"
local base = require "crun.proxy.base"
local nn = require "crun.nn"
local optim = require "crun.optim"
local options = require "crun.options"
local initial = require "crun.nn.initial"

local fail, check_value = crun.fail, options.check_value
local class_numbers = base.class_numbers

-- options of the object, beside those of the formula
local owning = {
  classes = "any?", dim = "count?", weights = "tensor?", init = "any?", rng = "rng?",
  lr_scale = { "number?", least = 0 }, reducer = "any?", regularizer = "any?",
  weight_regularizer = "any?",
}

-- those that may change later
local function any(_, value) return value end
local settable = {
  reducer = function(self, value) return require("crun.reducers").named(self._where, value) end,
  lr_scale = function(self, value)
    return check_value(self._where, "lr_scale", value, owning.lr_scale)
  end,
  regularizer = any, weight_regularizer = any,
}

local Proxy = base.class("Proxy", nil, settable)
Proxy.class_map = base.class_map

-- the rng and the start of weights
local function fresh(self, o, shape, default)
  return initial.make(self._where, o.init or default or "unit_normal", o.rng or nn.rng, shape)
end

-- rows of weights for each class
local function centers_of(self)
  return self._kind.centers and self._native[self._kind.centers] or 1
end

function Proxy:init(name, kind, opts)
  rawset(self, "_kind", kind)
  local spec = {}
  for key, line in pairs(owning) do spec[key] = line end
  for key, line in pairs(kind.options or {}) do spec[key] = line end
  local o = base.split_options(self, name, opts, spec)
  local centers = centers_of(self)
  if o.weights then
    if o.weights:ndim() ~= 2 then fail(self._where, "weights must have shape [C D]") end
    o.dim = o.dim or o.weights:size(2)
    o.classes = o.classes or o.weights:size(1) // centers
  end
  if o.classes == nil then fail(self._where, "classes is missing: their number, or the labels") end
  if o.dim == nil then fail(self._where, "dim is missing: the width of the embeddings") end
  local count, labels = base.read_classes(self._where, o.classes)
  rawset(self, "classes", count)
  rawset(self, "dim", o.dim)
  if labels then self.labels = labels end
  local shape = { count * centers, o.dim }
  if o.weights then
    local got = o.weights:shape()
    if got[1] ~= shape[1] or got[2] ~= shape[2] then
      fail(self._where, ("weights must have shape [%d, %d], got [%d, %d]"):format(shape[1],
        shape[2], got[1], got[2]))
    end
    self.weight = o.weights
  else
    self.weight = fresh(self, o, shape, kind.init)
  end
  for key in pairs(settable) do if o[key] ~= nil then self[key] = o[key] end end
  if kind.start then kind.start(self, o) end
  if self.weight:wants_grad() == false and not kind.buffer and not o.weights then
    nn.parameter(self.weight)
  end
end

-- labels [B] or a relation, and x -> class numbers, weights of the items or nil
local function supervision(self, labels, x)
  if options.kind(x) == "tensor" then return class_numbers(self, labels), x end
  if options.kind(labels) ~= "relation" and x == nil then return class_numbers(self, labels) end
  local relation = require "crun.relation"
  local r = relation.of(self._where, labels, nil, x)
  if r.reference_labels then
    fail(self._where, "takes no reference set: classes are its references")
  end
  local own = class_numbers(self, relation.labels(self._where, r))
  return own, r:element_weights(#own, self._kind.anchors_only)
end

-- one number from a criterion's losses by element, and the prices of regularisers
local function reduce(self, losses, labels)
  local reducers = require "crun.reducers"
  local parts = self._kind.parts and self._kind.parts(self, losses, labels)
    or { { name = "loss", losses = losses, kind = "element", anchor = crun.arange(1, #labels) } }
  return reducers.reduce(self.reducer, parts, { labels = labels, rows = #labels,
    zero = losses:reshape(losses:numel()):narrow(1, 1, 0):sum() })
end

function Proxy:forward(z, labels, x)
  local classes, item_weights = supervision(self, labels, x)
  if self._kind.before then self._kind.before(self, z, classes) end
  optim.await(self, self._where, self.weight)
  local loss
  if rawget(self, "reducer") then
    local native, reduction = self._native, self._native.reduction
    native.reduction = "none"
    local ok, losses = pcall(native, z, classes, self.weight, item_weights)
    native.reduction = reduction
    if not ok then error(losses, 0) end
    loss = reduce(self, losses, classes)
  else
    loss = self._native(z, classes, self.weight, item_weights)
  end
  if self._kind.after then self._kind.after(self, z, classes) end
  for key, rows in pairs { regularizer = z, weight_regularizer = self.weight } do
    local price = rawget(self, key)
    if price then
      loss = loss + require("crun.regularizers").apply(self._where, price, rows)
    end
  end
  return loss
end

function Proxy:describe()
  local centers = centers_of(self)
  return ("%d classes%s of width %d"):format(self.classes,
    centers > 1 and (" of %d centres"):format(centers) or "", self.dim)
end

-- ---- the losses ---------------------------------------------------------------------------------

-- centers: the option that says how many rows a class has; init; parts(self, losses, labels): for a
-- reducer; before, after: around a call; anchors_only: only anchors weigh
local kinds = {
  arcface = {}, cosface = {}, sphereface = {}, large_margin_softmax = {}, normalized_softmax = {},
  proxy_nca = { anchors_only = true },
  subcenter_arcface = { centers = "sub_centers" },
  soft_triple = {
    centers = "centers_per_class",
    init = function(rng, shape) return initial.uniform(rng, shape, 1 / math.sqrt(shape[1])) end,
  },
  proxy_anchor = {
    init = function(rng, shape) return crun.randn(rng, shape):mul_(math.sqrt(2 / shape[1])) end,
  },
}

-- losses [2 C]: terms of classes. As elements of a reducer they belong to no row of the batch.
function kinds.proxy_anchor.parts(self, losses, labels)
  local present = crun.unique(labels)
  return {
    { name = "pos_loss", losses = losses:select(1, 1), kind = "element", divisor = #present },
    { name = "neg_loss", losses = losses:select(1, 2), kind = "element", divisor = self.classes },
  }
end

-- Rows of norm 1, without a graph, as the authors' code does; left alone where they have it.
local function unit_rows(self)
  local _ <close> = crun.no_grad()
  local norm = self.weight:detach():norm { p = 2, dim = 2, keepdim = true }
  local off = (norm - 1):abs():amax():item()
  if off > (crun.precision == "float64" and 1e-12 or 1e-6) then
    self.weight:copy_(self.weight:detach() / norm:clamp { min = 1e-12 })
  end
end
kinds.p2sgrad = {
  init = function(rng, shape) return initial.uniform(rng, shape, 1):normalize() end,
  before = unit_rows,
}

-- Center loss: the centres are no parameters but move by a rule of their own, by every call with
-- gradients in training.
--   alpha   0.5, how far
--   learn   true: parameters after all, trained by the gradient, and no rule
kinds.center = {
  buffer = true,
  options = { alpha = { "number", 0.5, least = 0, most = 1 }, learn = { "boolean", false } },
}

function kinds.center.start(self, o)
  rawset(self, "alpha", o.alpha)
  rawset(self, "learn", o.learn)
  if o.learn then
    if not self.weight:wants_grad() then nn.parameter(self.weight) end
  elseif not o.weights then
    self.weight = self.weight:detach():clone()
  end
end

function kinds.center.after(self, z, classes)
  if not self.learn and self.training and z:wants_grad() then self:move(z, classes) end
end

--- Moves the centres: c_j - alpha sum_{i of class j} (c_j - x_i) / (1 + n_j).
local function move(self, z, classes)
  local _ <close> = crun.no_grad()
  local z0, weight = z:detach(), self.weight:detach()
  local pull = crun.zeros(weight:shape()):index_add(classes, weight:index_select(classes) - z0, 1)
  local count = crun.bincount(classes, { minlength = self.classes }):real()
  weight:copy_(weight - pull / (count + 1):unsqueeze(2) * self.alpha)
end

--- The rows of z that lie further than `threshold` degrees (75) from the dominant centre of their
-- class, the one nearest to most of its rows: class by class, as an int tensor; and the dominant
-- centres [C D], zeros for classes that labels do not name.
local function get_outliers(self, z, labels, opts)
  local o = options.check(self._where .. ":get_outliers", opts,
    { threshold = { "number", 75, least = 0, most = 180 } })
  local _ <close> = crun.no_grad()
  local K, C, classes = self.sub_centers, self.classes, class_numbers(self, labels)
  local centers = self.weight:detach():reshape(C, K, self.dim)
  local unit = centers:normalize(2, 3)
  -- cosines of every row to the centres of its class, [B K]
  local cosine = (unit:index_select(classes) * z:detach():normalize():unsqueeze(2)):sum(3)
  local nearest = cosine:argmax(2)
  local votes = crun.bincount((classes - 1) * K + nearest, { minlength = C * K }):reshape(C, K)
  local dominant = votes:argmax(2)
  local far = cosine:index_pairs(crun.arange(1, #classes), dominant:index_select(classes))
    :lt(math.cos(math.rad(o.threshold)))
  local present = crun.bincount(classes, { minlength = C }):gt(0):real():unsqueeze(2)
  local rows = self.weight:detach():index_select((crun.arange(1, C) - 1) * K + dominant) * present
  local order = classes:argsort(1)
  return order:masked_select(far:index_select(order)), rows
end

local M = {}

for name, kind in pairs(kinds) do
  local class = base.class(name, Proxy, settable)
  if name == "subcenter_arcface" then class.get_outliers = get_outliers end
  if name == "center" then
    class.move = move
    --- The same for labels as the loss takes them.
    function class:update(z, labels) return move(self, z, (class_numbers(self, labels))) end
  end
  M[name] = base.constructor(name, { "classes", "dim", "weights" }, owning,
    function(opts) return class(name, kind, opts) end)
end

for name, make in pairs(require "crun.proxy.sampled") do M[name] = make end

return M
