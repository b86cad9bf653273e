--- How the golden cases of losses that own class weights are said in crun.
-- Labels are 0-based there and 1-based here, so classes are named 0 .. C-1. Weights lie in columns
-- there, proxies in rows; the object is given the input itself, so that its gradient comes back.
local crun = require "crun"
local proxy = require "crun.proxy"
local reducers, regularizers = require "crun.reducers", require "crun.regularizers"
local M = {}

local function reducer(r)
  local by = {
    MeanReducer = reducers.mean, SumReducer = reducers.sum, DivisorReducer = reducers.divisor,
    AvgNonZeroReducer = reducers.avg_non_zero,
    ThresholdReducer = function() return reducers.threshold { low = r.low, high = r.high } end,
    ClassWeightedReducer = function() return reducers.class_weighted { weights = r.weights } end,
    PerAnchorReducer = function() return reducers.per_anchor { reducer = reducer(r.reducer) } end,
    MultipleReducers = function()
      local parts = { default = reducer(r.default_reducer) }
      for name, part in pairs(r.reducers) do parts[name] = reducer(part) end
      return reducers.multiple(parts)
    end,
  }
  return by[r.name]()
end

local function regularizer(r, weight)
  if not r then return nil end
  local by = {
    LpRegularizer = function() return regularizers.lp { p = r.p, power = r.power } end,
    CenterInvariantRegularizer = regularizers.center_invariant,
    RegularFaceRegularizer = regularizers.regular_face,
    SparseCentersRegularizer = function()
      return regularizers.sparse_centers { classes = r.num_classes, centers = r.centers_per_class }
    end,
  }
  return { by[r.name](), weight }
end

local function tuples(i)
  if i.idx_a1 then return { i.idx_a1 + 1, i.idx_p + 1, i.idx_a2 + 1, i.idx_n + 1 } end
  if i.idx_a then return { i.idx_a + 1, i.idx_p + 1, i.idx_n + 1 } end
end

local function names(C)
  local list = {}
  for c = 1, C do list[c] = c - 1 end
  return list
end

-- weights: the name of the input; columns: classes are its columns; own(p): the loss's options
local function adapter(name, weights, columns, own)
  return function(p, i)
    local o = own and own(p) or {}
    local w = i[weights]
    o.classes, o.weights = names(p.num_classes), columns and w:t() or w
    o.regularizer = regularizer(p.embedding_regularizer, p.embedding_reg_weight)
    o.weight_regularizer = regularizer(p.weight_regularizer, p.weight_reg_weight)
    -- the mean and the sum are what C does, the others go by the losses of elements
    local r = p.reducer.name
    if r == "SumReducer" then o.reduction = "sum"
    elseif r ~= "MeanReducer" then o.reducer = reducer(p.reducer) end
    return { loss = proxy[name](o)(i.embeddings, i.labels, tuples(i)) }
  end
end

local function margin(p) return { margin = p.margin, scale = p.scale } end

-- a distance of the reference as options of ours
local function metric(d, o)
  o.normalize, o.distance = d.normalize_embeddings, "euclidean"
  if d.name == "CosineSimilarity" then o.distance = "cosine"
  elseif d.name == "DotProductSimilarity" then o.distance = "dot" end
  if d.name == "LpDistance" then o.squared = d.power == 2 end
  return o
end

M.ArcFaceLoss = adapter("arcface", "W", true, margin)
M.CosFaceLoss = adapter("cosface", "W", true, margin)
M.SphereFaceLoss = adapter("sphereface", "W", true, margin)
M.LargeMarginSoftmaxLoss = adapter("large_margin_softmax", "W", true, margin)
M.NormalizedSoftmaxLoss = adapter("normalized_softmax", "W", true, function(p)
  return metric(p.distance, { temperature = p.temperature })
end)
M.SubCenterArcFaceLoss = adapter("subcenter_arcface", "W", true, function(p)
  return { margin = p.margin, scale = p.scale, sub_centers = p.sub_centers }
end)
M.ProxyNCALoss = adapter("proxy_nca", "proxies", false, function(p)
  return metric(p.distance, { scale = p.softmax_scale })
end)
M.ProxyAnchorLoss = adapter("proxy_anchor", "proxies", false, function(p)
  return metric(p.distance, { margin = p.margin, alpha = p.alpha })
end)
M.SoftTripleLoss = adapter("soft_triple", "fc", true, function(p)
  return { centers_per_class = p.centers_per_class, la = p.la, gamma = p.gamma, margin = p.margin }
end)

-- The reference normalises its weight in place; its gradient is that of the normalised one.
function M.P2SGradLoss(_, i)
  local leaf = i.weight:detach():t():clone():requires_grad_()
  local criterion = proxy.p2sgrad { classes = names(#leaf), weights = leaf }
  local loss = criterion(i.embeddings, i.labels)
  loss:backward()
  return { loss = loss, done = true, ["grad.weight"] = leaf:grad():t(),
           weight_normalized = leaf:detach():t() }
end

M["SubCenterArcFaceLoss.get_outliers"] = function(p, i)
  local criterion = proxy.subcenter_arcface {
    classes = names(p.num_classes), weights = i.W:t(), sub_centers = p.sub_centers,
  }
  local rows, centers = criterion:get_outliers(i.embeddings, i.labels, { threshold = p.threshold })
  return { outliers = rows - 1, dominant_centers = centers:t() }
end

return M
