--- How the golden cases of `losses` (pytorch-metric-learning's classes) are said in crun.
-- Cases that name tuples, other reducers, regularisers or the SNR distance wait for the relation object.
local crun = require "crun"
local M = {}

local function metric_options(d)
  local o = { normalize = d.normalize_embeddings, squared = d.power == 2 }
  if d.name == "CosineSimilarity" then o.distance = "cosine" o.normalize = false
  elseif d.name == "DotProductSimilarity" then o.distance = "dot"
  else o.distance = d.p == 1 and "manhattan" or "euclidean" end
  return o
end

local reductions = { AvgNonZeroReducer = "nonzero", MeanReducer = "mean", SumReducer = "sum" }

local function reduction_of(p)
  local r = p.reducer
  if r.name == "MultipleReducers" then
    r = r.reducers.loss or r.reducers.pos_loss
  end
  return reductions[r.name]
end

function M.TripletMarginLoss(p, i)
  local o = metric_options(p.distance)
  o.margin, o.swap, o.soft, o.reduction = p.margin, p.swap, p.smooth_loss, reduction_of(p)
  return { loss = crun.losses.triplet(o)(i.embeddings, i.labels, i.ref_emb, i.ref_labels) }
end

function M.ContrastiveLoss(p, i)
  local o = metric_options(p.distance)
  o.variant, o.pos_margin, o.neg_margin = "pml", p.pos_margin, p.neg_margin
  -- its margins for a similarity s are on s itself; ours are on the distance 1 - s, or -s for the dot product
  if o.distance == "cosine" then o.pos_margin, o.neg_margin = 1 - p.pos_margin, 1 - p.neg_margin
  elseif o.distance == "dot" then o.pos_margin, o.neg_margin = -p.pos_margin, -p.neg_margin end
  local reduction = reduction_of(p)
  o.reduction = ({ nonzero = "nonzero", mean = "sides", sum = "sum" })[reduction]
  local loss = crun.losses.contrastive(o)(i.embeddings, i.labels, i.ref_emb, i.ref_labels)
  -- it sums every pair in both orders, we once
  if reduction == "sum" and not i.ref_emb then loss = loss * 2 end
  return { loss = loss }
end

function M.skip(case)
  local p = case.params
  if not p.distance or not ({ CosineSimilarity = 1, DotProductSimilarity = 1, LpDistance = 1 })[p.distance.name] then
    return "distance not built"
  end
  if p.distance.name == "LpDistance" and p.distance.p ~= 1 and p.distance.p ~= 2 then return "distance not built" end
  if p.distance.p == 1 and p.distance.normalize_embeddings then return "L1 normalisation not built" end
  for name in pairs(case.inputs) do
    if name:find "^idx" then return "tuples not built" end
  end
  if not case.inputs.labels then return "tuples not built" end
  if p.embedding_regularizer then return "regularisers not built" end
  if p.triplets_per_anchor and p.triplets_per_anchor ~= "all" then return "random triplets" end
  if not reduction_of(p) then return "reducer not built" end
  if p.reducer.name == "MultipleReducers" then
    local first
    for _, r in pairs(p.reducer.reducers) do
      if first and r.name ~= first then return "different reducers for the sides are not built" end
      first = r.name
    end
  end
end

return M
