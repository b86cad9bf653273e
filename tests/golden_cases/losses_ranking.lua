--- How the golden cases of ranking and histogram losses are said in crun: function name -> adapter.
-- M.skip says which forms the C losses do not cover (given tuples, other reducers, other distances).
local crun = require "crun"
local M = {}

local function options_of(p)
  local d = p.distance
  local o = { normalize = d.normalize_embeddings, squared = d.power == 2, distance = "euclidean" }
  if d.name == "CosineSimilarity" then o.distance, o.normalize = "cosine", false
  elseif d.name == "DotProductSimilarity" then o.distance = "dot"
  elseif d.p == 1 then o.distance = "manhattan" end
  return o
end

local reductions = { MeanReducer = "mean", SumReducer = "sum", AvgNonZeroReducer = "nonzero", DivisorReducer = "divisor" }

local function reduction_of(p)
  local r = p.reducer
  if r.name == "MultipleReducers" then r = r.reducers.margin_loss or r.reducers.pos_loss end
  return reductions[r.name]
end

-- A bound on a similarity s is one on the distance: 1 - s for the cosine, -s for the dot product.
local function bound(o, s)
  if o.distance == "cosine" then return 1 - s end
  if o.distance == "dot" then return -s end
  return s
end

function M.MarginLoss(p, i)
  local o = options_of(p)
  o.margin, o.reduction = p.margin, reduction_of(p)
  local labels, beta = i.labels, i.beta
  if beta then
    if p.num_classes then labels, o.nu = labels + 1, p.nu end
    beta = bound(o, beta)
  else
    o.beta = bound(o, p.beta)
  end
  local criterion = crun.losses.margin(o)
  local loss = criterion(i.embeddings, labels, i.ref_emb, i.ref_labels, beta)
  -- its beta of one number comes as it is, on the similarity, whenever there is a triplet
  if beta and not p.num_classes and criterion.stats.triplets > 0 then loss = loss + i.beta:sum() * p.nu end
  return { loss = loss }
end

function M.RankedListLoss(p, i)
  local o = options_of(p)
  o.margin, o.Tn, o.Tp, o.imbalance, o.alpha = p.margin, p.Tn, p.Tp, p.imbalance, p.alpha
  o.reduction = reduction_of(p)
  return { loss = crun.losses.ranked_list(o)(i.embeddings, i.labels) }
end

function M.FastAPLoss(p, i)
  local o = options_of(p)
  o.bins, o.reduction = p.num_bins, reduction_of(p)
  return { loss = crun.losses.fast_ap(o)(i.embeddings, i.labels) }
end

function M.HistogramLoss(p, i)
  return { loss = crun.losses.histogram { bins = p.n_bins, delta = p.delta } (i.embeddings, i.labels) }
end

function M.PNPLoss(p, i)
  return { loss = crun.losses.pnp { variant = p.variant, anneal = p.anneal, alpha = p.alpha, b = p.b,
                                    reduction = reduction_of(p) } (i.embeddings, i.labels) }
end

function M.InstanceLoss(p, i)
  return { loss = crun.losses.instance { gamma = p.gamma, reduction = reduction_of(p) } (i.embeddings, i.labels) }
end

function M.SignalToNoiseRatioContrastiveLoss(p, i)
  local reduction = ({ nonzero = "nonzero", mean = "sides", sum = "sum" })[reduction_of(p)]
  local criterion = crun.losses.snr_contrastive { pos_margin = p.pos_margin, neg_margin = p.neg_margin,
                                                  normalize = p.distance.normalize_embeddings, reduction = reduction }
  return { loss = criterion(i.embeddings, i.labels, i.ref_emb, i.ref_labels) }
end

-- A sequence is several batches, stacked, on one histogram.
function M.DynamicSoftMarginLoss(p, i, case)
  local o = options_of(p)
  o.min_val, o.momentum = p.min_val, p.momentum
  local criterion, histogram = crun.losses.dynamic_soft_margin(o), crun.zeros(p.num_bins)
  if not case.arrays.hist then
    return { loss = criterion(i.embeddings, i.labels, i.ref_emb, i.ref_labels, histogram) }
  end
  local losses, histograms = {}, {}
  for step = 1, i.embeddings:size(1) do
    local labels = i.labels:ndim() == 2 and i.labels:select(1, step) or i.labels
    local loss = criterion(i.embeddings:select(1, step), labels, nil, nil, histogram)
    loss:backward()
    losses[step], histograms[step] = loss:item(), histogram:totable()
  end
  return { loss = crun.tensor(losses), hist = crun.tensor(histograms), done = true }
end

function M.ManifoldLoss(p, i)
  local criterion = crun.losses.manifold { alpha = p.alpha, margin = p.margin, lambda_c = p.lambdaC }
  return { loss = criterion(i.embeddings, i.meta_classes + 1, i.proxies) }
end

local mine = { MarginLoss = true, RankedListLoss = true, FastAPLoss = true, HistogramLoss = true, PNPLoss = true,
               InstanceLoss = true, DynamicSoftMarginLoss = true, ManifoldLoss = true,
               SignalToNoiseRatioContrastiveLoss = true }

--- Why the C loss of a case does not cover it; nil when it does, or when the case is not ours.
function M.skip(case)
  local p, f = case.params, case["function"]
  if not mine[f] then return end
  if f == "ManifoldLoss" then return end
  for name in pairs(case.inputs) do
    if name:find "^idx" then return "given tuples" end
  end
  if not case.inputs.labels then return "given tuples" end
  local d = p.distance
  if d.name == "SNRDistance" and f ~= "SignalToNoiseRatioContrastiveLoss" then return "SNR distance" end
  if d.p == 1 and d.normalize_embeddings then return "L1 normalisation" end
  if f == "RankedListLoss" and d.name ~= "LpDistance" then return "similarity in place of a distance" end
  if p.embedding_regularizer then return "regulariser" end
  if p.triplets_per_anchor and p.triplets_per_anchor ~= "all" then return "random triplets" end
  if not reduction_of(p) then return "reducer" end
  if p.reducer.name == "MultipleReducers" then
    local first
    for _, r in pairs(p.reducer.reducers) do
      if first and r.name ~= first then return "different reducers for the parts" end
      first = r.name
    end
  end
end

return M
