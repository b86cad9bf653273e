--- Scores of embeddings on data the network has not been trained on.
--
--     local z = eval.embed(net, test.images)
--     local scores = eval.retrieval(z, test.labels)    --> { ["recall@1"] = 0.93, ["map@r"] = 0.7 }
--     run:log(scores, "val/")
--
-- Row i is never its own neighbour. Definitions and edge cases are those of `crun help metrics
-- retrieval` and `crun help metrics verification`.
--
-- @module crun.eval
local crun = require "crun"
local options = require "crun.options"

local M = {}

local function to_batch(images)
  if images:dtype() == "uint8" then return images:real() / 255 end
  return images
end

--- Embeddings of a set, batch by batch, without a graph and in eval mode; the network's mode comes
-- back afterwards.
-- net: a module or any function; images: a tensor whose first dimension counts samples. opts: batch
-- (256); transform: a function of a batch of images, by default bytes / 255 and reals as they are;
-- rows: int64 tensor of row numbers, all when left out.
-- Returns a real tensor [N, D].
function M.embed(net, images, opts)
  local where = "eval.embed"
  options.check_value(where, "net", net, "callable")
  options.check_value(where, "images", images, "tensor")
  local o = options.check(where, opts,
    { batch = { "count", 256 }, transform = { "callable", to_batch }, rows = "tensor?" })
  local N = o.rows and o.rows:numel() or images:size(1)
  if N == 0 then crun.fail(where, "there are no images") end
  local modes = {}                                    -- modules that train, to be set back
  if options.kind(net) == "module" then
    for _, module in ipairs((net:modules())) do
      if module.training then modes[#modes + 1] = module end
    end
    net:eval()
  end
  local _ <close> = setmetatable({}, { __close = function()
    for _, module in ipairs(modes) do module.training = true end
  end })
  local _ <close> = crun.no_grad()
  local out
  for first = 1, N, o.batch do
    local n = math.min(o.batch, N - first + 1)
    local z = crun.scope(function()
      local x
      if o.rows then x = images:index_select(o.rows:narrow(1, first, n), 1)
      else x = images:narrow(1, first, n) end
      return net(o.transform(x))
    end)
    if z:ndim() ~= 2 or z:size(1) ~= n then
      local shape = table.concat(z:shape(), ", ")
      crun.fail(where, ("net made [%s] of %d images; embeddings are [%d, D]"):format(shape, n, n))
    end
    out = out or crun.zeros(N, z:size(2))
    out:narrow(1, first, n):copy_(z)
    z:release()
  end
  return out
end

-- recall_at_1 -> recall@1, map_at_r -> map@r, precision_at_1_class_average -> precision@1/class
local function shown(name)
  return (name:gsub("_at_", "@"):gsub("_class_average$", "/class"))
end

-- the rows of the output at_k of metrics.retrieval
local AT_K <const> = { "recall", "recall_relevant", "precision", "precision_possible",
  "map_relevant", "map_possible", "map_found", "ndcg" }

--- How well the nearest neighbours of a row carry its label. Keys: "precision@1", "r_precision",
-- "map@r", "map", "mrr", and at each k of opts.k:
--
--   recall@k              a match among the first k (CMC)   recall@k/all: of all rows, matches or not
--   recall_relevant@k     hits among the first k / all there are (R)
--   precision@k           hits / k                          precision_possible@k: hits / min(k, R)
--   map_relevant@k        sum of precisions at the hits / R
--   map_possible@k        the same / min(k, R)              map_found@k: the same / hits
--   ndcg@k
--
-- each also as ".../class" (mean over classes), and "queries", the rows with another of their label:
-- only those count. (Libraries call any of the three "map@k"; here each says what it divides by.)
-- opts: distance ("euclidean", "manhattan", "cosine", "dot"); k, a list ({ 1, 2, 4, 8 }); references
-- and reference_labels: the set searched, when it is not the rows themselves.
function M.retrieval(embeddings, labels, opts)
  local where = "eval.retrieval"
  options.check_value(where, "embeddings", embeddings, "tensor")
  options.check_value(where, "labels", labels, "tensor")
  local o = options.check(where, opts, {
    distance = { "string", "euclidean" }, k = { "numbers", { 1, 2, 4, 8 } }, references = "tensor?",
    reference_labels = "tensor?",
  })
  local _ <close> = crun.no_grad()
  local results = table.pack(crun.metrics.retrieval(embeddings, labels, o.references,
    o.reference_labels, { distance = o.distance, k = o.k }))
  local scores, rows = {}, labels:numel()
  for name, value in pairs(results[results.n]) do scores[shown(name)] = value end
  for tail, at_k in pairs { [""] = results[7]:totable(), ["/class"] = results[8]:totable() } do
    for row, name in ipairs(AT_K) do
      for i, k in ipairs(o.k) do
        local key = ("%s@%d%s"):format(name, k, tail)
        scores[key] = scores[key] or at_k[row][i]
        if row == 1 then
          scores["recall@" .. k .. "/all"] = rows > 0 and scores.queries > 0 and
            results[7][1][i] * scores.queries / rows or 0
        end
      end
    end
  end
  return scores
end

--- How well clusters agree with labels: a table of nmi, ami, ari, purity, homogeneity, completeness,
-- mutual_information (nats), classes, clusters.
-- clusters: an int64 tensor, or embeddings [N, D], which are then clustered by k-means (opts.seed, 1)
-- into opts.clusters clusters, as many as there are labels when left out. opts.average: "arithmetic",
-- "geometric", "min" or "max" of the entropies.
function M.clustering(labels, clusters, opts)
  local where = "eval.clustering"
  options.check_value(where, "labels", labels, "tensor")
  options.check_value(where, "clusters", clusters, "tensor")
  local o = options.check(where, opts, { average = { "string", "arithmetic" },
    seed = { "integer", 1, least = 0 }, clusters = "count?" })
  local _ <close> = crun.no_grad()
  if clusters:ndim() == 2 then
    local k = o.clusters or crun.unique(labels):numel()
    local _, assignment = crun.kmeans(clusters, { clusters = k, seed = o.seed })
    clusters = assignment
  end
  local _, stats = crun.metrics.clustering(labels, clusters, { average = o.average })
  return stats
end

-- pairs looked at when not told otherwise: all of 2000 rows
local LIMIT = 2000000

-- distances of pairs and whether they are of one label
local function labelled(where, embeddings, labels, opts)
  options.check_value(where, "embeddings", embeddings, "tensor")
  options.check_value(where, "labels", labels, "tensor")
  local o = options.check(where, opts, {
    distance = { "string", "euclidean" }, limit = { "integer", LIMIT, least = 0 },
    seed = { "integer", 1, least = 0 },
  })
  return crun.metrics.labelled_pairs(embeddings, labels, { distance = o.distance, limit = o.limit,
    seed = o.seed })
end

--- Distances of pairs of one label and of two, as two tensors: what plot.histogram shows. opts as
-- in eval.verification.
function M.distances(embeddings, labels, opts)
  local _ <close> = crun.no_grad()
  local distances, same = labelled("eval.distances", embeddings, labels, opts)
  return distances:masked_select(same), distances:masked_select(same:eq(0))
end

--- How well the distance of a pair tells one label from two. Keys: "auc", "eer", "eer_threshold",
-- "average_precision", "best_accuracy", "best_threshold" (thresholds are distances: accept at or
-- below), "tar@far=0.1", "=0.01", "=0.001", "=0.0001", "same_pairs", "different_pairs".
-- opts: distance ("euclidean", "cosine": 1 - cos, "dot": minus the product); limit: the most pairs,
-- drawn evenly by seed (1) when there are more (2000000; 0: all of them).
-- Returns the scores, and the curve { fpr =, tpr = } for plot.roc.
function M.verification(embeddings, labels, opts)
  local _ <close> = crun.no_grad()
  local distances, same = labelled("eval.verification", embeddings, labels, opts)
  local far, tar, _, stats = crun.metrics.verification(distances * -1, same:real())
  local scores = {}
  for name, value in pairs(stats) do
    scores[(name:gsub("^roc_auc$", "auc"):gsub("^tar_at_far_", "tar@far="))] = value
  end
  local points = scores.points
  scores.points = nil
  scores.eer_threshold, scores.best_threshold = -scores.eer_threshold, -scores.best_threshold
  return scores, { fpr = far:narrow(1, 1, points):contiguous(),
    tpr = tar:narrow(1, 1, points):contiguous() }
end

--- retrieval and verification together. opts: distance for both; limit and seed for verification.
function M.all(embeddings, labels, opts)
  local o = options.check("eval.all", opts,
    { distance = { "string", "euclidean" }, limit = "integer?", seed = "integer?" })
  local scores = M.retrieval(embeddings, labels, { distance = o.distance })
  for name, value in pairs((M.verification(embeddings, labels, o))) do scores[name] = value end
  return scores
end

return M
