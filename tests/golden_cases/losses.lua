--- How the golden cases of `losses` (pytorch-metric-learning's classes) are said in crun.
-- The classes over pairs and triplets run in the composed form, which has every setting; losses_NAME.lua beside
-- this file hold those over class weights and proxies and the self-supervised ones.
local crun = require "crun"
local distance_of = require "golden_cases.distances".of
local reducer_of = require "golden_cases.reducers".of
local regularizer_of = require "golden_cases.regularizers".of
local losses = crun.losses
local M = {}

-- class -> the loss's name here, and its parameters that have another name or a value to leave out
local classes = {
  AngularLoss = { "angular", { "alpha" } },
  CircleLoss = { "circle", { "m", "gamma" } },
  ContrastiveLoss = { "contrastive", { "pos_margin", "neg_margin" }, { variant = "pml" } },
  DynamicSoftMarginLoss = { "dynamic_soft_margin", { "min_val", "num_bins", "momentum" } },
  FastAPLoss = { "fast_ap", { "num_bins" } },
  GeneralizedLiftedStructureLoss = { "generalized_lifted", { "pos_margin", "neg_margin" } },
  HistogramLoss = { "histogram", { "n_bins", "delta" } },
  InstanceLoss = { "instance", { "gamma" } },
  IntraPairVarianceLoss = { "intra_pair_variance", { "pos_eps", "neg_eps" } },
  LiftedStructureLoss = { "lifted", { "pos_margin", "neg_margin" } },
  MarginLoss = { "margin", { "margin", "nu", "beta", "learn_beta" } },
  MultiSimilarityLoss = { "multi_similarity", { "alpha", "beta", "base" } },
  NCALoss = { "nca", { "softmax_scale" } },
  NPairsLoss = { "n_pairs", {} },
  NTXentLoss = { "ntxent", { "temperature" } },
  PNPLoss = { "pnp", { "b", "alpha", "anneal", "variant" } },
  RankedListLoss = { "ranked_list", { "margin", "Tn", "Tp", "imbalance", "alpha" } },
  SignalToNoiseRatioContrastiveLoss = { "snr_contrastive", { "pos_margin", "neg_margin" } },
  SupConLoss = { "supcon", { "temperature" } },
  ThresholdConsistentMarginLoss = { "threshold_consistent",
    { "lambda_plus", "lambda_minus", "margin_plus", "margin_minus" } },
  TripletMarginLoss = { "triplet", { "margin", "swap", soft = "smooth_loss" } },
  TupletMarginLoss = { "tuplet_margin", { "margin", "scale" } },
}

--- A criterion from its description in a case. quirk: as the reference does it.
function M.of(p, quirk)
  local class = assert(classes[p.name], p.name)
  local o = { composed = true, distance = distance_of(p.distance), compat = quirk and "pml" or nil }
  for key, theirs in pairs(class[2]) do o[type(key) == "string" and key or theirs] = p[theirs] end
  for key, value in pairs(class[3] or {}) do o[key] = value end
  -- the reference normalises anchors and positives only; with unit rows that shows in the gradient alone
  if p.name == "AngularLoss" then o.compat = "pml" end
  -- torch's cosine_similarity, which it uses here, has another least norm
  if p.name == "ThresholdConsistentMarginLoss" then o.distance = crun.distances.cosine_similarity { eps = 1e-8 } end
  if p.reducer then o.reducer = reducer_of(p.reducer) end
  if p.embedding_regularizer then
    o.regularizer = { regularizer_of(p.embedding_regularizer), p.embedding_reg_weight }
  end
  return losses[class[1]](o)
end

local function shifted(...)
  local list = { ... }
  for i, index in ipairs(list) do list[i] = index + 1 end
  return list
end

local function tuples_of(i)
  if i.idx_a1 then return shifted(i.idx_a1, i.idx_p, i.idx_a2, i.idx_n) end
  if i.idx_a then return shifted(i.idx_a, i.idx_p, i.idx_n) end
end

-- class numbers count from 1 for reducers by class and beta by class; where labels are not class numbers
-- nothing needs them to be
local function classes_from_one(labels) return labels and labels + 1 end

local function call(criterion, i)
  local labels, tuples = classes_from_one(i.labels), tuples_of(i)
  local reference_labels = classes_from_one(i.ref_labels)
  if tuples then return criterion(i.embeddings, labels, tuples, i.ref_emb, reference_labels) end
  return criterion(i.embeddings, labels, i.ref_emb, reference_labels)
end

-- calls step(t, embeddings of step t, ...) over the stacked inputs, and backward() each time; returns what step
-- returned, by step
local function each_step(i, steps, step)
  local results = {}
  for t = 1, steps do
    local function input(name)
      local one = i[name .. "." .. t - 1]
      if one then return one end
      local stacked = i[name]
      return stacked and stacked:select(1, t)
    end
    results[t] = step(input)
    if results[t].loss:wants_grad() then results[t].loss:backward() end
  end
  return results
end

local function stacked(results, name)
  local list = {}
  for t, result in ipairs(results) do list[t] = result[name] end
  return crun.stack(list, 1)
end

local function sequence(p, i, criterion)
  local results = each_step(i, #i.embeddings, function(input)
    local loss = call(criterion, { embeddings = input "embeddings", labels = input "labels" })
    return { loss = loss, hist = criterion:state().histogram:clone() }
  end)
  return { loss = stacked(results, "loss"), hist = stacked(results, "hist"), done = true }
end

for name in pairs(classes) do
  M[name] = function(p, i, case)
    local spec = {}
    for key, value in pairs(p) do spec[key] = value end
    spec.name = name
    if i.beta then spec.beta, spec.learn_beta = i.beta, false end
    local criterion = M.of(spec, case.quirk)
    if i.embeddings:ndim() == 3 then return sequence(p, i, criterion) end
    return { loss = call(criterion, i) }
  end
end

return M
