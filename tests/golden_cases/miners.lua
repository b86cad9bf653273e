--- How the golden cases of `miners` (pytorch-metric-learning's classes) are said in crun.
--
-- What was mined is a set of rows. hdc's come from hardest to easiest, which is looked at here: equally
-- hard pairs may come in any order.
-- The random miners are known by their distributions: those are worked out here from the formula,
-- compared with the golden ones, and every draw of the miner is held against them.
local crun = require "crun"
local M = {}

-- the distance of the case, as options; L1 normalisation is done beforehand
local function setup(p, i)
  local d, o, z, r = p.distance, {}, i.embeddings, i.ref_emb
  o.distance = ({ CosineSimilarity = "cosine", DotProductSimilarity = "dot", SNRDistance = "snr" })
    [d.name] or (d.p == 1 and "manhattan" or "euclidean")
  if d.normalize_embeddings and d.p == 1 and d.name == "LpDistance" then
    z, r = z:normalize { p = 1 }, r and r:normalize { p = 1 }
  elseif o.distance ~= "cosine" then
    o.normalize = d.normalize_embeddings
  end
  return o, z, r
end

-- a bound on a similarity as one on the distance of this name
local function bound(o, value)
  if o.distance == "cosine" then return 1 - value elseif o.distance == "dot" then return -value end
  return value
end

-- The golden rows are in the reference's own order, which says nothing but for the helpers. Rows that
-- are the same set are put into that order, others stay as they are and fail.
local root
for _, a in ipairs(arg) do root = root or a ~= "-v" and a end

local function keys_of(columns)
  local keys, at = {}, {}
  for row = 1, #columns[1] do
    local parts = {}
    for k = 1, #columns do parts[k] = columns[k][row] end
    keys[row] = table.concat(parts, " ")
    at[keys[row]] = (at[keys[row]] or 0) + 1
  end
  return keys, at
end

local function as_golden(out, case, names)
  local got, want = {}, {}
  for k, name in ipairs(names) do
    got[k] = (out[k] - 1):totable()
    want[k] = crun.io.read_npy(root .. "/" .. case.arrays["idx_" .. name]):totable()
  end
  local got_keys, got_at = keys_of(got)
  local want_keys, want_at = keys_of(want)
  local same = #got_keys == #want_keys
  for key, count in pairs(want_at) do same = same and got_at[key] == count end
  local result = {}
  for k, name in ipairs(names) do result["idx_" .. name] = crun.int(same and want[k] or got[k]) end
  return result
end

local function pairs_out(case, a1, p, a2, n)
  local out = as_golden({ a1, p }, case, { "a1", "p" })
  for name, rows in pairs(as_golden({ a2, n }, case, { "a2", "n" })) do out[name] = rows end
  return out
end

local function triplets_out(case, a, p, n) return as_golden({ a, p, n }, case, { "a", "p", "n" }) end

local function given(names, ...)
  local out = {}
  for k, t in ipairs { ... } do out["idx_" .. names[k]] = t - 1 end
  return out
end
local TRIPLET <const>, PAIRS <const> = { "a", "p", "n" }, { "a1", "p", "a2", "n" }

function M.BatchHardMiner(p, i, case)
  local o, z, r = setup(p, i)
  return triplets_out(case, crun.miners.batch_hard(o)(z, i.labels, r, i.ref_labels))
end

function M.BatchEasyHardMiner(p, i, case)
  local o, z, r = setup(p, i)
  local function range(v)
    if not v then return nil end
    local a, b = bound(o, v[1]), bound(o, v[2])
    return { math.min(a, b), math.max(a, b) }
  end
  o.pos_strategy, o.neg_strategy = p.pos_strategy, p.neg_strategy
  o.allowed_pos_range, o.allowed_neg_range = range(p.allowed_pos_range), range(p.allowed_neg_range)
  return pairs_out(case, crun.miners.batch_easy_hard(o)(z, i.labels, r, i.ref_labels))
end

function M.TripletMarginMiner(p, i, case)
  local o, z, r = setup(p, i)
  o.margin, o.type_of_triplets = p.margin, p.type_of_triplets
  return triplets_out(case, crun.miners.triplet_margin(o)(z, i.labels, r, i.ref_labels))
end

function M.PairMarginMiner(p, i, case)
  local o, z, r = setup(p, i)
  o.pos_margin, o.neg_margin = bound(o, p.pos_margin), bound(o, p.neg_margin)
  return pairs_out(case, crun.miners.pair_margin(o)(z, i.labels, r, i.ref_labels))
end

function M.MultiSimilarityMiner(p, i, case)
  local o, z, r = setup(p, i)
  o.epsilon = p.epsilon
  return pairs_out(case, crun.miners.multi_similarity(o)(z, i.labels, r, i.ref_labels))
end

function M.AngularMiner(p, i, case)
  return triplets_out(case, crun.miners.angular { angle = p.angle } (i.embeddings, i.labels, i.ref_emb,
    i.ref_labels))
end

function M.HDCMiner(p, i, case)
  local o, z, r = setup(p, i)
  o.filter_percentage = p.filter_percentage
  local tuples = i.given_a1 and { i.given_a1 + 1, i.given_p + 1, i.given_a2 + 1, i.given_n + 1 }
  local a1, pos, a2, n = crun.miners.hdc(o)(z, i.labels, r, i.ref_labels, tuples)
  -- from hardest to easiest, by distances that are not the miner's own
  local d = crun.distances.named("golden", o.distance, o):matrix(z, r)
  local function check(rows, others, sign)
    local at = #rows > 0 and d:index_pairs(rows, others):totable() or {}
    for k = 2, #at do assert(sign * (at[k] - at[k - 1]) <= 1e-5, "not from hardest to easiest") end
  end
  check(a1, pos, 1)
  check(a2, n, -1)
  return pairs_out(case, a1, pos, a2, n)
end

-- ---- random miners ------------------------------------------------------------------------------

-- distances as nested tables, in double, and who is what
local function by_hand(p, i)
  local x, y = i.embeddings:totable(), (i.ref_emb or i.embeddings):totable()
  local lx, ly = i.labels:totable(), (i.ref_labels or i.labels):totable()
  local function unit(rows)
    for _, v in ipairs(rows) do
      local s = 0
      for k = 1, #v do s = s + v[k] ^ 2 end
      for k = 1, #v do v[k] = v[k] / math.sqrt(s) end
    end
  end
  unit(x)
  if i.ref_emb then unit(y) else y = x end
  local d, kind = {}, {}
  for a = 1, #x do
    d[a], kind[a] = {}, {}
    for b = 1, #y do
      local s, dot = 0, 0
      for k = 1, #x[a] do s, dot = s + (x[a][k] - y[b][k]) ^ 2, dot + x[a][k] * y[b][k] end
      d[a][b] = p.distance.name == "CosineSimilarity" and dot or math.sqrt(s)
      kind[a][b] = (not i.ref_emb and a == b) and "self" or lx[a] == ly[b] and "pos" or "neg"
    end
  end
  return d, kind, #x[1]
end

function M.DistanceWeightedMiner(p, i)
  local d, kind, width = by_hand(p, i)
  local probability, per_anchor = {}, {}
  for a = 1, #d do
    local sum, class, others = 0, 0, 0
    probability[a] = {}
    for b = 1, #d[a] do
      local at = math.max(d[a][b], p.cutoff)
      local counts = kind[a][b] == "neg" and at < p.nonzero_loss_cutoff
      probability[a][b] = counts and
        math.exp((2 - width) * math.log(at) - (width - 3) / 2 * math.log(1 - at * at / 4)) or 0
      sum = sum + probability[a][b]
      if kind[a][b] ~= "neg" then class = class + 1 end
      if kind[a][b] == "pos" then others = others + 1 end
    end
    for b = 1, #d[a] do probability[a][b] = sum > 0 and probability[a][b] / sum or 0 end
    per_anchor[a] = sum > 0 and others > 0 and class or 0
  end
  -- what the miner draws: counts to the letter, frequencies within five standard deviations
  local miner = crun.miners.distance_weighted { normalize = true, cutoff = p.cutoff,
    nonzero_loss_cutoff = p.nonzero_loss_cutoff }
  local draws, seen, positives = 400, {}, {}
  for a = 1, #d do seen[a], positives[a] = {}, {} end
  for _ = 1, draws do
    local a, pos, n = miner(i.embeddings, i.labels, i.ref_emb, i.ref_labels)
    local count = crun.bincount(a, { minlength = #d }):totable()
    for r = 1, #d do assert(count[r] == per_anchor[r], "another number of triplets") end
    a, pos, n = a:totable(), pos:totable(), n:totable()
    for k = 1, #a do
      assert(kind[a[k]][pos[k]] == "pos", "not a positive")
      assert(probability[a[k]][n[k]] > 0, "a negative that is never drawn")
      seen[a[k]][n[k]] = (seen[a[k]][n[k]] or 0) + 1
      positives[a[k]][pos[k]] = (positives[a[k]][pos[k]] or 0) + 1
    end
  end
  local function near(count, n, q)
    assert(math.abs(count - n * q) <= 5 * math.sqrt(n * q * (1 - q)) + 1, "another distribution")
  end
  for a = 1, #d do
    local n, others = draws * per_anchor[a], 0
    for b = 1, #d[a] do if kind[a][b] == "pos" then others = others + 1 end end
    for b = 1, #d[a] do
      if n > 0 then near(seen[a][b] or 0, n, probability[a][b]) end
      if n > 0 and kind[a][b] == "pos" then near(positives[a][b] or 0, n, 1 / others) end
    end
  end
  return { negative_probability = crun.tensor(probability), triplets_per_anchor = crun.int(per_anchor) }
end

function M.UniformHistogramMiner(p, i)
  local d, kind = by_hand(p, i)
  local cosine = p.distance.name == "CosineSimilarity"
  local miner = crun.miners.uniform_histogram { num_bins = p.num_bins, pos_per_bin = p.pos_per_bin,
    neg_per_bin = p.neg_per_bin, distance = cosine and "cosine" or "euclidean",
    normalize = not cosine or nil, seed = 3 }
  local mined = { miner(i.embeddings, i.labels, i.ref_emb, i.ref_labels) }
  local out = {}
  for s, side in ipairs { "pos", "neg" } do
    local rows, others, list = {}, {}, {}
    for a = 1, #d do
      for b = 1, #d[a] do
        if kind[a][b] == side then
          rows[#rows + 1], others[#others + 1], list[#list + 1] = a - 1, b - 1, d[a][b]
        end
      end
    end
    local least, most = math.min(table.unpack(list)), math.max(table.unpack(list))
    local function bin_of(x)
      return math.min(p.num_bins - 1, math.floor((x - least) / (most - least) * p.num_bins))
    end
    local edges, bins, holds = {}, {}, {}
    for k = 0, p.num_bins do edges[k + 1] = least + (most - least) * k / p.num_bins end
    for k = 1, #list do
      bins[k] = bin_of(list[k])
      holds[bins[k]] = true
    end
    -- the miner's draws: the right kind, as many from each bin as there should be (a pair on an edge
    -- may go either way in float32)
    local a, b, drawn, off = mined[2 * s - 1]:totable(), mined[2 * s]:totable(), {}, 0
    local per_bin = p[side .. "_per_bin"]
    for k = 1, #a do
      assert(kind[a[k]][b[k]] == side, "a pair of the wrong kind")
      local bin = bin_of(d[a[k]][b[k]])
      drawn[bin] = (drawn[bin] or 0) + 1
    end
    for bin in pairs(holds) do off = off + math.abs((drawn[bin] or 0) - per_bin) end
    for bin in pairs(drawn) do assert(holds[bin], "a pair from an empty bin") end
    assert(off <= 2 * per_bin, "not per_bin pairs from each bin")
    out["idx_a_" .. side], out["idx_other_" .. side] = crun.int(rows), crun.int(others)
    out["bin_edges_" .. side], out["bin_" .. side] = crun.tensor(edges), crun.int(bins)
    out["count_" .. side] = #a
  end
  return out
end

-- ---- helpers ------------------------------------------------------------------------------------

local function blank(labels) return labels and crun.zeros(#labels, 1) end

function M.all_pairs(_, i)
  return given(PAIRS, crun.miners.all_pairs {} (blank(i.labels), i.labels, blank(i.ref_labels),
    i.ref_labels))
end

function M.all_triplets(_, i)
  return given(TRIPLET, crun.miners.all_triplets {} (blank(i.labels), i.labels, blank(i.ref_labels),
    i.ref_labels))
end

function M.one_pair_per_class(_, i)
  return given(TRIPLET, crun.miners.one_pair_per_class {} (blank(i.labels), i.labels))
end

function M.pairs_to_triplets(_, i, case)
  return triplets_out(case, crun.miners.pairs_to_triplets {} (i.idx_a1 + 1, i.idx_p + 1, i.idx_a2 + 1,
    i.idx_n + 1))
end

function M.EmbeddingsAlreadyPackagedAsTriplets(_, i)
  return given(TRIPLET, crun.miners.packaged_triplets {} (i.embeddings, i.labels))
end

function M.indices_to_weights(_, i)
  local relation = require "crun.relation"
  local tuples = i.idx_a and { i.idx_a + 1, i.idx_p + 1, i.idx_n + 1 } or
    { i.idx_a1 + 1, i.idx_p + 1, i.idx_a2 + 1, i.idx_n + 1 }
  local weights = relation.of("golden", i.labels, nil, tuples):element_weights(#i.labels)
  return { weights = weights or crun.ones(#i.labels) }
end

return M
