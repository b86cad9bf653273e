--- Regularisers: a price on embeddings or class weights, added to a loss.
--
--     crun.losses.triplet { regularizer = { crun.regularizers.lp { p = 2 }, 0.25 } }
--     crun.losses.arcface { ..., weight_regularizer = { crun.regularizers.regular_face(), 0.5 } }
--
-- A regulariser r is called with rows x [N D] and gives one number; each makes one value a row,
-- which its `reducer` (crun.reducers, "mean" when left out) turns into one:
--
--   lp { p, power }         |x_i|_p^power
--   zero_mean               |sum_k x_ik|
--   center_invariant        (|x_i|^2 - mean_j |x_j|^2)^2 / 4: rows of one length (Wu and others,
--                           "Deep face recognition with center invariant loss", 2017)
--   regular_face            the similarity of row i to its nearest other row; which row that is is
--                           a constant in the gradient (Zhao and others, "RegularFace", CVPR 2019).
--                           distance = cosine_similarity
--   sparse_centers { classes, centers }
--                           rows are `centers` rows for each class in turn: sqrt(2 - 2 cos) over
--                           the pairs within each class, by twice their number, draws centres of a
--                           class together (Qian and others, "SoftTriple", ICCV 2019). Two centres
--                           in one place have gradient 0
--
-- In pytorch-metric-learning: LpRegularizer, ZeroMeanRegularizer, CenterInvariantRegularizer,
-- RegularFaceRegularizer, SparseCentersRegularizer. They are worked out on rows as given, which
-- nobody normalises.
--
-- @module crun.regularizers
local crun = require "crun"
local distances = require "crun.distances"
local options = require "crun.options"
local reducers = require "crun.reducers"

local M = {}
local fail, check = crun.fail, options.check

local Regularizer = { __name = "crun.regularizer" }
Regularizer.__index = Regularizer

function Regularizer:__tostring() return "regularizers." .. self.name end

function Regularizer:__call(x)
  local where = "regularizers." .. self.name
  if options.kind(x) ~= "tensor" or x:ndim() ~= 2 then
    fail(where, "takes a tensor [N D], got " .. options.say(x))
  end
  local values, divisor = self.values(x)
  return self.reducer(values, { kind = "element", rows = #x, divisor = divisor })
end

-- values(x): the losses [n], and perhaps a divisor
local function new(name, reducer, values)
  return setmetatable({
    name = name, values = values, reducer = reducers.named("regularizers." .. name, reducer),
  }, Regularizer)
end

--- |x_i|_p^power
function M.lp(opts)
  local o = check("regularizers.lp", opts,
    { p = { "number", 2, above = 0 }, power = { "number", 1, above = 0 }, reducer = { "any",
      "mean" } })
  return new("lp", o.reducer, function(x)
    local norm = x:norm { p = o.p, dim = 2 }
    return o.power == 1 and norm or norm ^ o.power
  end)
end

--- |sum_k x_ik|
function M.zero_mean(opts)
  local o = check("regularizers.zero_mean", opts, { reducer = { "any", "mean" } })
  return new("zero_mean", o.reducer, function(x) return x:sum(2):abs() end)
end

--- (|x_i|^2 - mean |x|^2)^2 / 4
function M.center_invariant(opts)
  local o = check("regularizers.center_invariant", opts, { reducer = { "any", "mean" } })
  return new("center_invariant", o.reducer, function(x)
    local squares = x:square():sum(2)
    return (squares - squares:mean()):square() / 4
  end)
end

--- The similarity to the nearest other row.
function M.regular_face(opts)
  local o = check("regularizers.regular_face", opts,
    { distance = { "any", "cosine_similarity" }, reducer = { "any", "mean" } })
  local d = distances.named("regularizers.regular_face", o.distance)
  return new("regular_face", o.reducer, function(x)
    local n = #x
    local m = d:matrix(x)
    if n < 2 then return m:reshape(n * n):narrow(1, 1, 0) end
    local others = m:detach():masked_fill(crun.eye(n):byte(), d.inverted and -math.huge or
      math.huge)
    local nearest = d.inverted and others:argmax(2) or others:argmin(2)
    return m:index_pairs(crun.arange(1, n), nearest)
  end)
end

--- sqrt(2 - 2 cos) over the pairs of centres of each class.
function M.sparse_centers(opts)
  local where = "regularizers.sparse_centers"
  local o = check(where, opts, { classes = "count", centers = "count", reducer = { "any",
    "divisor" } })
  local first, second = {}, {}
  for class = 0, o.classes - 1 do
    for i = 1, o.centers do
      for j = i + 1, o.centers do
        first[#first + 1], second[#second + 1] = class * o.centers + i, class * o.centers + j
      end
    end
  end
  local count = #first
  first, second = crun.int(first), crun.int(second)
  return new("sparse_centers", o.reducer, function(x)
    if #x ~= o.classes * o.centers then
      fail(where, ("x must have %d rows, %d classes of %d centres, got %d"):format(
        o.classes * o.centers, o.classes, o.centers, #x))
    end
    -- |a - b| of unit rows is sqrt(2 - 2 cos), exact where they are near
    local unit = x:normalize()
    local apart = crun.pairwise_distance(unit:index_select(first), unit:index_select(second),
      { eps = 0 })
    return apart, 2 * count
  end)
end

--- The price { regularizer, weight } (or a regularizer alone, weight 1) puts on x, as a scalar.
function M.apply(where, price, x)
  local regularizer, weight = price, 1
  if options.kind(price) == "table" then regularizer, weight = price[1], price[2] or 1 end
  if options.kind(regularizer) ~= "regularizer" and type(regularizer) ~= "function" then
    fail(where, "regularizer must be { crun.regularizers.NAME { ... }, weight }, got " ..
      options.say(regularizer))
  end
  if type(weight) ~= "number" then
    fail(where, "the weight of a regularizer must be a number, got " .. options.say(weight))
  end
  local value = regularizer(x)
  return weight == 1 and value or value * weight
end

return M
