--- How the golden cases of `losses` (pytorch-metric-learning's classes) are said in crun. The
-- classes over pairs and triplets run in the composed form, which has every setting;
-- losses_NAME.lua beside this file hold those over class weights and proxies and the
-- self-supervised ones.
local crun = require "crun"
local distance_of = require "golden_cases.distances".of
local reducer_of = require "golden_cases.reducers".of
local regularizer_of = require "golden_cases.regularizers".of
local losses = crun.losses
local M = {}

-- class -> the loss's name here, and its parameters that have another name or a value to leave out
local classes = {
  AngularLoss = { "angular", { "alpha" }, { raw_negatives = true } },
  CircleLoss = { "circle", { "m", "gamma" } },
  ContrastiveLoss = { "contrastive", { "pos_margin", "neg_margin" }, { variant = "pml" } },
  DynamicSoftMarginLoss = { "dynamic_soft_margin", { "min_val", "num_bins", "momentum" } },
  FastAPLoss = { "fast_ap", { bins = "num_bins" } },
  GeneralizedLiftedStructureLoss = { "generalized_lifted", { "pos_margin", "neg_margin" } },
  HistogramLoss = { "histogram", { "delta", bins = "n_bins" } },
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
  -- torch's cosine_similarity, which it uses here, has another least norm
  if p.name == "ThresholdConsistentMarginLoss" then
    o.distance = crun.distances.cosine_similarity { eps = 1e-8 }
  end
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

-- class numbers count from 1 for reducers by class and beta by class; where labels are not class
-- numbers nothing needs them to be
local function classes_from_one(labels) return labels and labels + 1 end

local function call(criterion, i)
  local labels, tuples = classes_from_one(i.labels), tuples_of(i)
  local reference_labels = classes_from_one(i.ref_labels)
  if tuples then return criterion(i.embeddings, labels, tuples, i.ref_emb, reference_labels) end
  return criterion(i.embeddings, labels, i.ref_emb, reference_labels)
end

-- calls step(t, embeddings of step t, ...) over the stacked inputs, and backward() each time;
-- returns what step returned, by step
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

local function sequence(i, criterion)
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
    if i.embeddings:ndim() == 3 then return sequence(i, criterion) end
    return { loss = call(criterion, i) }
  end
end

-- ---- criteria that hold others ------------------------------------------------------------------

local bounds_of = { CosineSimilarity = function(x) return 1 - x end,
  DotProductSimilarity = function(x) return -x end }

-- a miner from its description; its margins are on distances here
local function miner_of(m)
  if not m then return false end
  local bound = bounds_of[m.distance.name] or function(x) return x end
  local o = { distance = distance_of(m.distance) }
  if m.name == "MultiSimilarityMiner" then
    o.epsilon = m.epsilon
    return crun.miners.multi_similarity(o)
  elseif m.name == "PairMarginMiner" then
    o.pos_margin, o.neg_margin = bound(m.pos_margin), bound(m.neg_margin)
    return crun.miners.pair_margin(o)
  elseif m.name == "TripletMarginMiner" then
    o.margin, o.type_of_triplets = m.margin, m.type_of_triplets
    return crun.miners.triplet_margin(o)
  end
  error("no such miner: " .. tostring(m.name))
end

function M.MultipleLosses(p, i)
  local list, miners = {}, {}
  for k, one in ipairs(p.losses) do
    list[k], miners[k] = M.of(one), miner_of(p.miners and p.miners[k])
  end
  local criterion = losses.multiple { losses = list, weights = p.weights, miners = miners }
  return { loss = criterion(i.embeddings, i.labels) }
end

function M.SelfSupervisedLoss(p, i, case)
  local criterion = losses.self_supervised { loss = M.of(p.loss, case.quirk),
    symmetric = p.symmetric }
  return { loss = criterion(i.embeddings, i.ref_emb) }
end

-- The reference lists pairs, and gives 0 for a list of one, which a miner may leave.
function M.CrossBatchMemory(p, i, case)
  local as_lists = case.quirk or p.miner
  local criterion = losses.cross_batch_memory {
    loss = M.of(p.loss, as_lists), dim = p.embedding_size, size = p.memory_size,
    miner = miner_of(p.miner) or nil, compat = as_lists and "pml" or nil,
  }
  local results = each_step(i, p.steps, function(input)
    local z, labels, mask, tuples = input "embeddings", input "labels", input "enqueue_mask",
      input "idx_apn"
    if tuples then
      tuples = tuples + 1
      tuples = { tuples:select(1, 1):contiguous(), tuples:select(1, 2):contiguous(),
        tuples:select(1, 3):contiguous() }
    end
    local loss = criterion(z, labels, tuples, mask and mask:gt(0))
    local state = criterion:state()
    return { loss = loss, memory = state.memory:clone(), label_memory = state.labels:clone(),
      queue_idx = crun.int { state.cursor }:reshape({}), filled = crun.int { state.full and 1 or
        0 }:reshape({}) }
  end)
  local out = { done = true }
  for _, name in ipairs { "loss", "memory", "label_memory", "queue_idx", "filled" } do
    out[name] = stacked(results, name)
    for t, result in ipairs(results) do out[name .. "." .. t - 1] = result[name] end
  end
  return out
end

-- meta_classes: the proxy of each row, from 0
function M.ManifoldLoss(p, i)
  local criterion = losses.manifold { composed = true, proxies = i.proxies, lambda_c = p.lambdaC,
    alpha = p.alpha,
    margin = p.margin, distance = distance_of(p.distance) }
  return { loss = criterion(i.embeddings, i.meta_classes + 1) }
end

-- ---- losses of the other files ------------------------------------------------------------------

for _, group in ipairs { "lse", "ranking", "proxy", "ssl" } do
  local found, adapters = pcall(require, "golden_cases.losses_" .. group)
  if not found and not tostring(adapters):find("not found", 1, true) then error(adapters, 0) end
  for name, adapter in pairs(found and adapters or {}) do
    if name ~= "skip" and not M[name] then M[name] = adapter end
  end
end

return M
