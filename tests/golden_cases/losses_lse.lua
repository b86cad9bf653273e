--- How the golden cases of the log-sum-exp family are said in crun (merged by losses.lua).
-- A case reaches an adapter only with labels and a plain distance.
local crun = require "crun"
local M = {}

local reductions = { AvgNonZeroReducer = "nonzero", MeanReducer = "mean", SumReducer = "sum" }

local function reduction_of(r)
  if r.name == "MultipleReducers" then r = r.reducers.loss or r.reducers.pos_loss end
  return reductions[r.name]
end

local function common(p)
  local d = p.distance
  local o = { normalize = d.normalize_embeddings, squared = d.power == 2,
              reduction = reduction_of(p.reducer) }
  if d.name == "CosineSimilarity" then o.distance, o.normalize = "cosine", false
  elseif d.name == "DotProductSimilarity" then o.distance = "dot"
  else o.distance = d.p == 1 and "manhattan" or "euclidean" end
  return o
end

-- The margins of lifted structure are on similarities there and on distances here.
local function margin(o, m)
  return o.distance == "cosine" and 1 - m or o.distance == "dot" and -m or m
end

local function adapter(name, options)
  return function(p, i)
    local o = common(p)
    options(o, p)
    return { loss = crun.losses[name](o)(i.embeddings, i.labels, i.ref_emb, i.ref_labels) }
  end
end

M.SupConLoss = adapter("supcon", function(o, p) o.temperature = p.temperature end)
M.NTXentLoss = adapter("ntxent", function(o, p) o.temperature = p.temperature end)
M.NCALoss = adapter("nca", function(o, p) o.softmax_scale = p.softmax_scale end)
M.MultiSimilarityLoss = adapter("multi_similarity", function(o, p)
  o.alpha, o.beta, o.base = p.alpha, p.beta, p.base
end)
M.CircleLoss = adapter("circle", function(o, p) o.m, o.gamma = p.m, p.gamma end)
local function lifted(o, p)
  o.pos_margin, o.neg_margin = margin(o, p.pos_margin), margin(o, p.neg_margin)
end
M.GeneralizedLiftedStructureLoss = adapter("generalized_lifted", lifted)
M.LiftedStructureLoss = adapter("lifted", lifted)
M.TupletMarginLoss = adapter("tuplet_margin", function(o, p)
  o.margin, o.scale = p.margin, p.scale
end)
M.IntraPairVarianceLoss = adapter("intra_pair_variance", function(o, p)
  o.pos_eps, o.neg_eps = p.pos_eps, p.neg_eps
end)
-- The reference's base loss is the contrastive one with margins that fit the cosine.
function M.ThresholdConsistentMarginLoss(p, i)
  return { loss = crun.losses.threshold_consistent { lambda_plus = p.lambda_plus,
    lambda_minus = p.lambda_minus, margin_plus = p.margin_plus, margin_minus = p.margin_minus }
    (i.embeddings, i.labels) }
end
M.NPairsLoss = adapter("n_pairs", function() end)

return M
