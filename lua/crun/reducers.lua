--- Reducers: how the losses of elements, pairs or triplets become one number.
--
--     local criterion = crun.losses.triplet { margin = 0.1, reducer = crun.reducers.mean() }
--     local both = crun.reducers.multiple { pos_loss = "sum", neg_loss = "mean" }
--
-- A reducer is called with a tensor of losses [n] and what is known of them:
--
--     local value = reducer(losses, { anchor = rows, labels = labels, rows = B })
--
--   anchor    int [n]: the row each loss belongs to (class_weighted, per_anchor of pairs)
--   other     int [n]: the second row of a pair; kind = "pair" then. kind is "element" when left
--             out, "triplet" for triplets, and "reduced" for a loss that is one number already:
--             every reducer hands that through
--   labels    int [B], 1 .. C (class_weighted)
--   rows      B (per_anchor)
--   divisor   a number that the loss gives (divisor)
--   name      which part of the loss this is (multiple): "loss", "pos_loss", "neg_loss", ...
--
-- Every reducer gives 0 with zero gradient for an empty set. An average over the losses above 0
-- makes the step grow as fewer of them are left, and keeps the printed loss near the margin while
-- learning goes on; `mean` does neither.
--
-- The names of pytorch-metric-learning and what they are here: MeanReducer mean, SumReducer sum,
-- AvgNonZeroReducer avg_non_zero, ThresholdReducer threshold, ClassWeightedReducer class_weighted,
-- DivisorReducer divisor, DoNothingReducer do_nothing, PerAnchorReducer per_anchor,
-- MultipleReducers multiple.
--
-- @module crun.reducers
local crun = require "crun"
local options = require "crun.options"

local M = {}
local fail, check = crun.fail, options.check

local Reducer = { __name = "crun.reducer" }
Reducer.__index = Reducer

function Reducer:__tostring() return "reducers." .. self.name end

-- 0 that hangs on the graph of x, so that backward() gives zeros
local function zero(x) return x:reshape(x:numel()):narrow(1, 1, 0):sum() end

function Reducer:__call(losses, info)
  local where = "reducers." .. self.name
  if options.kind(losses) ~= "tensor" then
    fail(where, "takes a tensor of losses, got " .. options.say(losses))
  end
  info = info or {}
  if info.kind == "reduced" or self.whole then return self.reduce(losses, info, self) end
  if losses:ndim() ~= 1 then losses = losses:reshape(losses:numel()) end
  if losses:numel() == 0 then return zero(losses) end
  return self.reduce(losses, info, self)
end

-- A reducer called `name`; reduce(losses [n], info, self) -> scalar. One that is "reduced" passes
-- through.
local function new(name, fields, reduce)
  fields.name = name
  fields.reduce = function(losses, info, self)
    if info.kind == "reduced" and not self.whole then return losses:sum() end
    return reduce(losses, info, self)
  end
  return setmetatable(fields, Reducer)
end

local function plain(name, reduce)
  M[name] = function(opts)
    check("reducers." .. name, opts, {})
    return new(name, {}, reduce)
  end
end

-- the mean of the losses that a mask names
local function mean_of(losses, mask)
  local chosen = losses:masked_select(mask)
  return chosen:numel() > 0 and chosen:mean() or zero(losses)
end

--- sum / n
plain("mean", function(losses) return losses:mean() end)

plain("sum", function(losses) return losses:sum() end)

--- The mean of the losses above 0; the default of pytorch-metric-learning for contrastive, triplet,
-- circle and SupCon.
plain("avg_non_zero", function(losses) return mean_of(losses, losses:detach():gt(0)) end)

--- sum / the divisor that the loss gives (margin: its active terms; proxy_anchor: classes); 0 when
-- that is 0. A loss that gives none is averaged.
plain("divisor", function(losses, info)
  local divisor = info.divisor or losses:numel()
  return divisor == 0 and zero(losses) or losses:sum() / divisor
end)

--- The losses as they are, for a look at them or a reduction of one's own. They cannot be added to
-- others: a loss in several parts, or with a regulariser, returns a table name -> losses.
function M.do_nothing(opts)
  check("reducers.do_nothing", opts, {})
  return new("do_nothing", { whole = true }, function(losses) return losses end)
end

--- The mean of the losses with low < loss < high (strict on both sides); either may be left out.
function M.threshold(opts)
  local o = check("reducers.threshold", opts, { low = "number?", high = "number?" })
  if not o.low and not o.high then fail("reducers.threshold", "give low, high or both") end
  return new("threshold", { low = o.low, high = o.high }, function(losses)
    local value, mask = losses:detach(), nil
    if o.low then mask = value:gt(o.low) end
    if o.high then
      local under = value:lt(o.high)
      mask = mask and mask:logical_and(under) or under
    end
    return mean_of(losses, mask)
  end)
end

--- mean over all losses of weights[label of the anchor] * loss: divided by n, not by the sum of the
-- weights. weights: a tensor or list, one number a class; labels are 1 .. #weights.
function M.class_weighted(opts)
  local o = check("reducers.class_weighted", opts, { weights = "any" })
  local weights = o.weights
  if type(weights) == "table" then weights = crun.tensor(weights) end
  if options.kind(weights) ~= "tensor" or weights:ndim() ~= 1 then
    fail("reducers.class_weighted", "weights must be a list or a tensor [C], got " ..
      options.say(o.weights))
  end
  return new("class_weighted", { weights = weights }, function(losses, info)
    if not info.labels then
      fail("reducers.class_weighted", "this loss was called without labels")
    end
    local labels = info.anchor and info.labels:index_select(info.anchor) or info.labels
    local least, most = labels:amin():item(), labels:amax():item()
    if least < 1 or most > #weights then
      fail("reducers.class_weighted", ("labels must be in 1..%d, one weight each, got %d")
        :format(#weights, least < 1 and least or most))
    end
    return (losses * weights:index_select(labels)):mean()
  end)
end

local named                                             -- name or reducer -> reducer

--- Pairs: the mean of each anchor's losses (0 for an anchor without), then `reducer` over the B
-- rows. Elements: `reducer` alone. Triplets have no such reading and are refused. A pair listed
-- twice counts twice here; in pytorch-metric-learning the last one counts.
function M.per_anchor(opts)
  local o = check("reducers.per_anchor", opts, { reducer = { "any", "mean" } })
  local inner = named("reducers.per_anchor", o.reducer)
  return new("per_anchor", { reducer = inner }, function(losses, info)
    if info.kind == "triplet" then
      fail("reducers.per_anchor", "takes pairs and elements, this loss has triplets")
    end
    if info.kind ~= "pair" then return inner(losses, info) end
    local rows = info.rows or fail("reducers.per_anchor", "pairs need rows = B")
    local count = crun.bincount(info.anchor, { minlength = rows }):real():clamp { min = 1 }
    local mean = crun.zeros(rows):scatter_add(info.anchor, losses) / count
    return inner(mean, { kind = "element", labels = info.labels, rows = rows, name = info.name })
  end)
end

--- Each part of a loss by its own reducer, and the results added: multiple { pos_loss = "sum",
-- default = "mean" }.
function M.multiple(opts)
  local where, parts = "reducers.multiple", {}
  if options.kind(opts) ~= "table" then
    fail(where, "takes a table, as in { pos_loss = ..., default = ... }, got " .. options.say(opts))
  end
  for name, reducer in pairs(opts) do parts[name] = named(where, reducer) end
  parts.default = parts.default or M.mean()
  return new("multiple", { parts = parts }, function(losses, info)
    return (parts[info.name or "loss"] or parts.default)(losses, info)
  end)
end

local by_name = { "mean", "sum", "avg_non_zero", "divisor", "do_nothing" }

function named(where, value)
  if options.kind(value) == "reducer" then return value end
  local name = value == "nonzero" and "avg_non_zero" or value
  for _, known in ipairs(by_name) do if name == known then return M[known]() end end
  if type(value) == "string" then
    local near = options.nearest(value, by_name)
    fail(where, ("reducer must be one of %s, or made by crun.reducers; got '%s'%s"):format(
      table.concat(by_name, ", "), value, near and (", did you mean '%s'?"):format(near) or ""))
  end
  fail(where, "reducer must be a name or made by crun.reducers, got " .. options.say(value))
end

--- A reducer from a name ("mean", "sum", "avg_non_zero" or "nonzero", "divisor", "do_nothing") or a
-- reducer, which is handed through. where: who asks, for the message.
function M.named(where, value) return named(where, value) end

--- Reduces the parts of a loss and adds them up. parts: a list of { name =, losses =, kind =,
-- anchor =, other =, divisor = }; a part without losses (nil) counts 0. context: { labels =, rows
-- =, zero = a scalar 0 on the graph }. With do_nothing: the losses of a single part, or a table
-- name -> losses.
function M.reduce(reducer, parts, context)
  local total, list, n = nil, {}, 0
  for _, part in ipairs(parts) do
    local value = context.zero
    if part.losses then
      value = reducer(part.losses, {
        kind = part.kind, anchor = part.anchor, other = part.other, divisor = part.divisor,
        labels = context.labels, rows = context.rows, name = part.name,
      })
    end
    if value:ndim() > 0 and value:numel() ~= 1 or reducer.whole then
      list[part.name or "loss"], n = value, n + 1
    else
      total = total and total + value or value
    end
  end
  if n == 0 then return total or context.zero end
  if total then list.total = total end
  if n == 1 and not total then return (select(2, next(list))) end
  return list
end

return M
