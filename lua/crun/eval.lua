--- Scores of embeddings on data the network has not been trained on.
--
--     local z = eval.embed(net, test.images)
--     local scores = eval.retrieval(z, test.labels)    --> { ["recall@1"] = 0.93, ["map@r"] = 0.7 }
--     run:log(scores, "val/")
--
-- labels: an int64 tensor, or a crun.relation of one label an item. Row i is never its own
-- neighbour. Definitions and edge cases are those of `crun help metric retrieval`, `crun help
-- metric verification` and their like.
--
-- @module crun.eval
local crun = require "crun"
local options = require "crun.options"

local M = {}

-- Labels of a metric, and those of the references when a crun.relation says them.
local function labels_of(where, labels)
  if options.kind(labels) ~= "relation" then
    return options.check_value(where, "labels", labels, "tensor")
  end
  if not labels.plain then
    crun.fail(where, "takes one label an item; this relation holds pairs, or several labels")
  end
  return labels.labels, labels.reference_labels
end

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

--- Embeddings moved towards their nearest references: query expansion.
--
--   z' = normalise(z + sum over its k nearest x of max(0, cos(z, x))^alpha x)
--
-- opts: references (default the rows themselves, each but for itself); k (10); alpha (0: the plain
-- average; 3 is usual). Rows and references count with length 1. Database-side expansion is
-- eval.expand of the references by themselves. Chum et al., ICCV 2007; Radenovic, Tolias, Chum,
-- "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019, section 3.4 (alpha).
function M.expand(embeddings, opts)
  local where = "eval.expand"
  options.check_value(where, "embeddings", embeddings, "tensor")
  local o = options.check(where, opts, { references = "tensor?", k = { "count", 10 },
    alpha = { "number", 0, least = 0 } })
  local _ <close> = crun.no_grad()
  local z = embeddings:normalize()
  local x = o.references and o.references:normalize() or z
  local Q, D = z:size(1), z:size(2)
  local k = math.min(o.k, x:size(1) - (o.references and 0 or 1))
  if k < 1 then return z end
  local d, index = crun.metrics.neighbours(z, o.references and x or nil,
    { k = k, distance = "cosine" })
  local weight = (1 - d):clamp { min = 0 }:pow(o.alpha)
  local out, rows = crun.zeros(Q, D), math.max(1, 2000000 // (k * D))
  for first = 1, Q, rows do
    local n = math.min(rows, Q - first + 1)
    crun.scope(function()
      local near = x:index_select(index:narrow(1, first, n):reshape(n * k), 1):reshape(n, k, D)
      local moved = (near * weight:narrow(1, first, n):reshape(n, k, 1)):sum(2)
      out:narrow(1, first, n):copy_((z:narrow(1, first, n) + moved):normalize())
    end)
  end
  return out
end

-- what retrieval searches when expansion is wished for
local function expanded(embeddings, references, opts)
  local o = options.check("eval.retrieval: expansion", opts, { k = { "count", 10 },
    alpha = { "number", 0, least = 0 }, database = { "boolean", false } })
  local wanted = { k = o.k, alpha = o.alpha }
  local database = references
  if o.database and references then references = M.expand(references, wanted) end
  wanted.references = database
  return M.expand(embeddings, wanted), references
end

-- the rows of the output at_k of metrics.retrieval
local AT_K <const> = { "recall", "recall_relevant", "precision", "precision_possible",
  "map_relevant", "map_possible", "map_found", "ndcg" }

--- How well the nearest neighbours of a row carry its label. Keys: "precision@1", "r_precision",
-- "map@r", "map", "mrr", and at each k of opts.k:
--
--   recall@k              a match among the first k (CMC)   recall@k/all: of all rows, with a
--                                                           match or not
--   recall_relevant@k     hits among the first k / all there are (R)
--   precision@k           hits / k                          precision_possible@k: hits / min(k, R)
--   map_relevant@k        sum of precisions at the hits / R
--   map_possible@k        the same / min(k, R)              map_found@k: the same / hits
--   ndcg@k
--
-- each also as ".../class" (mean over classes), and "queries", the rows with another of their
-- label: only those count. (Libraries call any of the three "map@k"; here each says what it divides
-- by.)
-- opts: distance ("euclidean", "manhattan", "cosine", "dot"); k, a list ({ 1, 2, 4, 8 });
-- references and reference_labels: the set searched, when it is not the rows themselves; expansion:
-- the options of eval.expand, and database (false): expand the references too; rerank: true, or a
-- table of k1 (20), k2 (6), lambda (0.3), width (128): k-reciprocal re-ranking (`crun help metric
-- k_reciprocal`).
function M.retrieval(embeddings, labels, opts)
  local where = "eval.retrieval"
  options.check_value(where, "embeddings", embeddings, "tensor")
  local related
  labels, related = labels_of(where, labels)
  local o = options.check(where, opts, {
    distance = { "string", "euclidean" }, k = { "numbers", { 1, 2, 4, 8 } }, references = "tensor?",
    reference_labels = "tensor?", expansion = "table?", rerank = "any?",
  })
  local _ <close> = crun.no_grad()
  local references, hood, weight, lambda = o.references, nil, nil, nil
  if o.expansion then embeddings, references = expanded(embeddings, references, o.expansion) end
  if o.rerank then
    local r = options.check(where .. ": rerank", o.rerank ~= true and o.rerank or nil,
      { k1 = { "count", 20 }, k2 = { "count", 6 }, width = { "count", 128 },
        lambda = { "number", 0.3, least = 0, most = 1 } })
    local all = references and crun.cat({ embeddings, references }, 1) or embeddings
    hood, weight = crun.metrics.k_reciprocal(all, { k1 = r.k1, k2 = r.k2, width = r.width,
      distance = o.distance })
    lambda = r.lambda
  end
  local results = table.pack(crun.metrics.retrieval(embeddings, labels, references,
    o.reference_labels or related, hood, weight,
    { distance = o.distance, k = o.k, lambda = lambda }))
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

--- How well clusters agree with labels: a table of nmi, ami, ari, purity, homogeneity,
-- completeness, mutual_information (nats), classes, clusters.
-- clusters: an int64 tensor, or embeddings [N, D], which are then clustered by k-means (opts.seed,
-- 1) into opts.clusters clusters, as many as there are labels when left out. opts.average:
-- "arithmetic", "geometric", "min" or "max" of the entropies.
function M.clustering(labels, clusters, opts)
  local where = "eval.clustering"
  labels = labels_of(where, labels)
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
  labels = labels_of(where, labels)
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
-- below), "tar@far=0.1", "=0.01", "=0.001", "=0.0001", "fnmr@fmr=0.1", "=0.01", "=0.001",
-- "same_pairs", "different_pairs".
-- opts: distance ("euclidean", "cosine": 1 - cos, "dot": minus the product); limit: the most pairs,
-- drawn evenly by seed (1) when there are more (2000000; 0: all of them).
-- Returns the scores, and the curve { fpr =, tpr = } for plot.roc.
function M.verification(embeddings, labels, opts)
  local _ <close> = crun.no_grad()
  local distances, same = labelled("eval.verification", embeddings, labels, opts)
  local far, tar, _, stats = crun.metrics.verification(distances * -1, same:real())
  local fnmr = crun.metrics.fnmr_at_fmr(distances, same):totable()
  local scores = {}
  for name, value in pairs(stats) do
    scores[(name:gsub("^roc_auc$", "auc"):gsub("^tar_at_far_", "tar@far="))] = value
  end
  for i, rate in ipairs { "0.1", "0.01", "0.001" } do scores["fnmr@fmr=" .. rate] = fnmr[i] end
  local points = scores.points
  scores.points = nil
  scores.eer_threshold, scores.best_threshold = -scores.eer_threshold, -scores.best_threshold
  return scores, { fpr = far:narrow(1, 1, points):contiguous(),
    tpr = tar:narrow(1, 1, points):contiguous() }
end

--- Distances of given pairs of rows. first, second: int64 row numbers of one set of embeddings.
-- distance as in eval.verification.
function M.pair_distances(embeddings, first, second, distance)
  options.check_value("eval.pair_distances", "distance", distance,
    { "string", "euclidean", choices = { "euclidean", "cosine", "dot" } })
  local _ <close> = crun.no_grad()
  local N, rows = first:numel(), math.max(1, 2000000 // math.max(1, embeddings:size(2)))
  local out = crun.zeros(N)
  for from = 1, N, rows do
    local n = math.min(rows, N - from + 1)
    crun.scope(function()
      local a = embeddings:index_select(first:narrow(1, from, n), 1)
      local b = embeddings:index_select(second:narrow(1, from, n), 1)
      local d
      if distance == "cosine" then d = 1 - crun.cosine_similarity(a, b)
      elseif distance == "dot" then d = -(a * b):sum(2)
      else d = (a - b):square():sum(2):sqrt() end
      out:narrow(1, from, n):copy_(d)
    end)
  end
  return out
end

--- Reads pairs.txt of Labeled Faces in the Wild, or a list of that form: a line "folds pairs" (of
-- each kind in a fold; or "pairs": one fold), then lines "name i j" for two pictures of one person
-- and "name i other j".
-- Returns a list of { first = "name_0001", second = "name_0002", same = true, fold = 1 }.
function M.read_pairs(path)
  local where = "eval.read_pairs"
  local file, message = io.open(path)
  if not file then crun.fail(where, message) end
  local lines = {}
  for line in file:lines() do lines[#lines + 1] = line:gsub("%s+$", "") end
  file:close()
  local folds, count = (lines[1] or ""):match "^(%d+)%s+(%d+)$"
  if not folds then folds, count = "1", (lines[1] or ""):match "^(%d+)$" end
  if not count then
    crun.fail(where, path .. ": the first line must be the numbers of folds and of pairs")
  end
  local pairs_of, in_fold = {}, 2 * math.tointeger(count)
  local function picture(name, number) return ("%s_%04d"):format(name, math.tointeger(number)) end
  for i = 2, #lines do
    if lines[i] ~= "" then
      local words = {}
      for word in lines[i]:gmatch "[^\t]+" do words[#words + 1] = word end
      if #words < 3 then
        words = {}
        for word in lines[i]:gmatch "%S+" do words[#words + 1] = word end
      end
      local name, one, other, two = table.unpack(words)
      if #words == 3 then other, two = name, other end
      if #words < 3 or #words > 4 or not one:find "^%d+$" or not two:find "^%d+$" then
        crun.fail(where, ("%s:%d: must be 'name i j' or 'name i other j', got '%s'"):format(path, i,
          lines[i]))
      end
      pairs_of[#pairs_of + 1] = { first = picture(name, one), second = picture(other, two),
        same = #words == 3, fold = #pairs_of // in_fold + 1 }
    end
  end
  if #pairs_of ~= in_fold * math.tointeger(folds) then
    crun.fail(where, ("%s: the first line promises %d pairs, there are %d"):format(path,
      in_fold * math.tointeger(folds), #pairs_of))
  end
  return pairs_of
end

--- The LFW protocol: accuracy on each fold with the threshold that is best on the others.
-- pairs: what eval.read_pairs gave. row_of: picture name -> row of embeddings (a table).
-- Returns { accuracy, std, standard_error, folds }, and accuracies and thresholds by fold.
function M.lfw(embeddings, pairs_of, row_of, distance)
  local where = "eval.lfw"
  options.check_value(where, "embeddings", embeddings, "tensor")
  local first, second, same, fold = {}, {}, {}, {}
  for i, pair in ipairs(pairs_of) do
    for _, name in ipairs { pair.first, pair.second } do
      if not row_of[name] then
        crun.fail(where, ("there is no row for picture '%s'"):format(name))
      end
    end
    first[i], second[i], fold[i] = row_of[pair.first], row_of[pair.second], pair.fold
    same[i] = pair.same and 1 or 0
  end
  local d = M.pair_distances(embeddings, crun.int(first), crun.int(second), distance)
  local accuracies, thresholds, stats =
    crun.metrics.fold_accuracy(d, crun.byte(same), crun.int(fold))
  return stats, accuracies, thresholds
end

--- The threshold on the distance of a pair for a target, with its bootstrap interval: { threshold,
-- low, high, accuracy, precision, recall, f1, far }. opts: those of eval.verification and of
-- `crun help metric calibrate` (target, value, samples, level).
function M.calibrate(embeddings, labels, opts)
  local o = options.check("eval.calibrate", opts, { distance = "string?", limit = "integer?",
    seed = "integer?", target = "string?", value = "number?", samples = "integer?",
    level = "number?" })
  local _ <close> = crun.no_grad()
  local d, same = labelled("eval.calibrate", embeddings, labels,
    { distance = o.distance, limit = o.limit, seed = o.seed })
  local _, stats = crun.metrics.calibrate(d, same, { target = o.target, value = o.value,
    samples = o.samples, level = o.level, seed = o.seed })
  return stats
end

--- Share of rows whose label the votes of their k nearest references give: "accuracy", and the
-- predictions. opts: references and reference_labels (default: the other rows), k (200),
-- temperature (0.1), weights ("exponential", "uniform"), distance ("cosine").
function M.knn(embeddings, labels, opts)
  local where = "eval.knn"
  options.check_value(where, "embeddings", embeddings, "tensor")
  labels = labels_of(where, labels)
  local o = options.check(where, opts, { references = "tensor?", reference_labels = "tensor?",
    k = "count?", temperature = "number?", weights = "string?", distance = "string?" })
  local _ <close> = crun.no_grad()
  local predicted, stats = crun.metrics.knn(embeddings, o.references, o.reference_labels, labels,
    { k = o.k, temperature = o.temperature, weights = o.weights, distance = o.distance })
  return stats, predicted
end

--- How many dimensions the embeddings use. With l_i the variances along the principal components,
-- largest first:
--
--   pcf              share of the components that hold `variance` (0.5) of all variance
--   effective_rank   exp of the entropy of sqrt(l_i) / sum sqrt(l)     Roy, Vetterli, EUSIPCO 2007
--   participation    (sum l)^2 / sum l^2
--
-- A collapsed network shows small numbers. Without variance: pcf 0, the others 0.
function M.spectrum(embeddings, opts)
  local where = "eval.spectrum"
  options.check_value(where, "embeddings", embeddings, "tensor")
  local o = options.check(where, opts, { variance = { "number", 0.5, least = 0, most = 1 } })
  local _ <close> = crun.no_grad()
  local N, D = embeddings:size(1), embeddings:size(2)
  local xc = embeddings - embeddings:mean(1)
  local l = crun.eigh(N >= D and xc:t():matmul(xc) or xc:matmul(xc:t())):totable()
  local total, roots, squares = 0, 0, 0
  for i, v in ipairs(l) do
    l[i] = math.max(v, 0)
    total, roots, squares = total + l[i], roots + math.sqrt(l[i]), squares + l[i] ^ 2
  end
  if total == 0 then return { pcf = 0, effective_rank = 0, participation = 0 } end
  table.sort(l, function(a, b) return a > b end)
  local held, components, entropy = 0, 0, 0
  for _, v in ipairs(l) do
    if held < o.variance * total then components = components + 1 end
    held = held + v
    local p = math.sqrt(v) / roots
    if p > 0 then entropy = entropy - p * math.log(p) end
  end
  return { pcf = components / D, effective_rank = math.exp(entropy),
    participation = total ^ 2 / squares }
end

--- Accuracy of a linear classifier on frozen embeddings: see crun.probe.
M.linear_probe = function(...) return require("crun.probe").linear(...) end

--- retrieval and verification together. opts: distance for both; limit and seed for verification.
function M.all(embeddings, labels, opts)
  local o = options.check("eval.all", opts,
    { distance = { "string", "euclidean" }, limit = "integer?", seed = "integer?" })
  local scores = M.retrieval(embeddings, labels, { distance = o.distance })
  for name, value in pairs((M.verification(embeddings, labels, o))) do scores[name] = value end
  return scores
end

return M
