--- How the golden cases of `metrics` are said in crun.
local crun = require "crun"
local eval = require "crun.eval"
local M = {}

local names = { precision_at_1 = "precision@1", r_precision = "r_precision",
  mean_average_precision_at_r = "map@r", mean_average_precision = "map", mean_reciprocal_rank = "mrr",
  queries_counted = "queries" }

-- recall_at_4_class_average -> recall@4/class
local function key_of(name)
  local base = name:gsub("_class_average$", ""):gsub("_all_queries$", "")
  local tail = name:find "_class_average$" and "/class" or name:find "_all_queries$" and "/all" or ""
  return (names[base] or base:gsub("_at_", "@")) .. tail
end

function M.retrieval_metrics(p, i, case)
  local scores = eval.retrieval(i.embeddings, i.labels, { distance = p.metric, k = p.k,
    references = i.ref_emb, reference_labels = i.ref_labels })
  local out = {}
  for name in pairs(case.values) do out[name] = scores[key_of(name)] end
  local all = i.ref_emb and i.ref_emb:size(1) or i.embeddings:size(1) - 1
  local _, index = crun.metrics.neighbours(i.embeddings, i.ref_emb, { k = all, distance = p.metric })
  out.order = index - 1
  return out
end

function M.clustering_metrics(p, i)
  local s = eval.clustering(i.labels, i.clusters, { average = p.average_method })
  s.NMI, s.AMI, s.ARI = s.nmi, s.ami, s.ari
  return s
end

function M.silhouette(p, i)
  local samples, stats = crun.metrics.silhouette(i.embeddings, i.labels, { distance = p.metric })
  return { samples = samples, score = stats.score }
end

function M.verification_metrics(_, i)
  local far, tar, _, stats = crun.metrics.verification(i.scores, i.same)
  local points = math.tointeger(stats.points)
  stats.far, stats.tar = far:narrow(1, 1, points), tar:narrow(1, 1, points)
  return stats
end

function M.lfw_accuracy(p, i)
  local accuracy, threshold, stats = crun.metrics.fold_accuracy(i.distances, i.same, { folds = p.folds,
    grid_start = p.grid_start, grid_step = p.grid_step, grid_count = p.grid_count })
  return { accuracies = accuracy, thresholds = threshold, accuracy_mean = stats.accuracy,
    accuracy_std = stats.std }
end

return M
