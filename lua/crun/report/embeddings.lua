--- report/embeddings.lua - what was learnt: separation, maps, retrieval, health, and what it cost
--
-- The same kind of functions as in report/sections.lua. They show what run:embeddings kept
-- (crun.evidence); of maps, histograms and panels that of each variant's first seed.
local data = require "crun.report.data"
local html = require "crun.report.html"
local parts = require "crun.report.parts"
local pictures = require "crun.report.pictures"

local M = {}
local h = html.tag
local figure, section = parts.figure, parts.section

local function mean_of(list, name)
  local sum, n = 0, 0
  for _, one in ipairs(list) do
    if type(one[name]) == "number" then sum, n = sum + one[name], n + 1 end
  end
  return n > 0 and sum / n or nil
end

-- ---- separation ---------------------------------------------------------------------------------

local TARGETS <const> = { 0.1, 0.01, 0.001, 0.0001 }

-- the mean over runs of TAR at a false accept rate that their curves hold
local function tar_at(list, target)
  local sum, n = 0, 0
  for _, one in ipairs(list) do
    for j, far in ipairs(one.roc and one.roc.far or {}) do
      if math.abs(far / target - 1) < 1e-6 then sum, n = sum + one.roc.tar[j], n + 1 end
    end
  end
  return n > 0 and sum / n or nil
end

local function tar_table(s)
  local columns, rows = { { "", "name" } }, {}
  for k, target in ipairs(TARGETS) do columns[k + 1] = { ("%g"):format(target), "number" } end
  columns[#columns + 1] = { "equal error rate", "number" }
  for i, v in ipairs(s.variants) do
    local evidence = data.evidence_of(v, s.extra.set)
    local cells, any = { parts.name(s, i) }, false
    for k, target in ipairs(TARGETS) do
      local tar = tar_at(evidence, target)
      cells[k + 1], any = tar and parts.text(tar) or nil, any or tar ~= nil
    end
    local eer = mean_of(evidence, "eer")
    cells[#columns] = eer and parts.text(eer) or nil
    if any then rows[#rows + 1] = cells end
  end
  return #rows > 0 and parts.table("True accept rate at a false accept rate of", columns, rows) or
    nil
end

-- how many pairs the rates rest on
local function pairs_note(s)
  for _, v in ipairs(s.variants) do
    local one = data.evidence_of(v, s.extra.set)[1]
    if one and one.positive and one.negative then
      local n = one.negative.pairs
      return ("%d pairs of one class, %d of two%s."):format(one.positive.pairs, n, n < 100000 and
        (": rates below %.1g rest on fewer than 100 false accepts"):format(100 / n) or "")
    end
  end
  return ""
end

--- Distances of pairs, verification and recall.
function M.separation(s)
  local d = s.data
  if #d.histograms + #d.roc + #d.recall == 0 then return end
  return section("separation", ("Separation of the %s embeddings"):format(s.extra.set),
    #d.histograms > 0 and figure("histograms", "Distances of pairs of one class (solid, blue) " ..
      "and of two (dashed, orange), first seed, as shares. d′: how many standard deviations the " ..
      "means are apart. Overlap: the share both have in common."),
    #d.roc > 0 and figure("roc", "True against false accept rate, mean over seeds; the left end " ..
      "is what counts where false accepts are costly. " .. pairs_note(s)),
    tar_table(s),
    #d.recall > 0 and figure("recall", "Recall@k: share of queries with a match among the k " ..
      "nearest, mean over seeds."))
end

-- ---- maps ---------------------------------------------------------------------------------------

--- PCA and t-SNE, linked.
function M.maps(s)
  local maps = s.data.maps
  if #maps == 0 then return end
  local rows, perplexity = {}, nil
  local function three(x) return x and ("%.3f"):format(x) or nil end
  for _, m in ipairs(maps) do
    perplexity = perplexity or m.perplexity
    rows[#rows + 1] = { parts.name(s, m.variant + 1), three(m.trust_tsne), three(m.trust_pca),
      m.variance and ("%.0f %%"):format(100 * m.variance) or nil }
  end
  local shape <const> = "of the 12 nearest in the map; 1: all are near in truth, about 0.5: chance"
  return section("maps", "Maps of the embeddings", figure("maps", ("First seed, %d rows; shape " ..
    "and colour stand for the class. Point at a mark, or focus a map and use the arrow keys: %s." ..
    " t-SNE (perplexity %s, from the principal components) shows neighbourhoods, and only as far " ..
    "as its trustworthiness goes: sizes of groups and distances between them mean nothing.")
    :format(#maps[1].labels, s.data.linked and "the same row is shown in every map" or
    "these maps show different rows and are not linked", perplexity and
    ("%.3g"):format(perplexity) or "-")),
    parts.table("How far the maps can be believed", { { "", "name" },
      { "trustworthiness of t-SNE", "number", shape }, { "of PCA", "number", shape },
      { "variance that PCA shows", "number" } }, rows))
end

-- ---- retrieval ----------------------------------------------------------------------------------

-- a thumbnail, or without images the class alone; right is nil of a query
local function item(s, sprite, index, label, right, distance)
  local class = right == nil and "query" or right and "right" or "wrong"
  local words = ("%s, class %s"):format(class, tostring(label)) ..
    (distance and (", distance %.3g"):format(distance) or "")
  local sign = right == nil and "" or right and "✓ " or "✗ "
  return h("span", { class = "item " .. class, title = words },
    sprite and h("span", { class = "thumb sprite" .. sprite, role = "img", ["aria-label"] = words,
      style = pictures.place(s.extra.sprites[sprite], index, 48) }),
    h("span", { class = "tag", ["aria-hidden"] = sprite and "true" or nil }, sign, label))
end

local function panel_rows(s, evidence, map)
  local rows, sprite, at = {}, map and map.panel_sprite, 0
  for r, panel in ipairs(evidence.panels or {}) do
    local items = { item(s, sprite, at + 1, panel.label) }
    for k = 1, #panel.rows do
      items[k + 1] = item(s, sprite, at + 1 + k, panel.labels[k], panel.right[k],
        panel.distances[k])
    end
    at = at + 1 + #panel.rows
    rows[r] = h("li", { class = panel.kind }, items, panel.kind == "failure" and
      h("span", { class = "late" }, ("first match at place %d"):format(panel.first)))
  end
  return rows
end

--- Queries and what they find.
function M.panels(s)
  local blocks = {}
  for i, v in ipairs(s.variants) do
    local evidence = data.evidence_of(v, s.extra.set)[1]
    local rows = evidence and panel_rows(s, evidence, s.extra.maps[i]) or {}
    if #rows > 0 then
      blocks[#blocks + 1] = h("details", { open = #blocks == 0 },
        h("summary", {}, parts.name(s, i)), h("ul", { class = "panels" }, rows))
    end
  end
  if #blocks == 0 then return end
  return section("retrieval", "What is found, what is missed", h("p", { class = "note" },
    "A query, then its five nearest: ✓ of its class, ✗ of another. First four queries spread over ",
    "the set, the same for all; then those whose first match comes latest: look for wrong labels, ",
    "poses, lighting."), blocks)
end

-- ---- health and cost ----------------------------------------------------------------------------

local HEALTH <const> = {
  { "effective_rank", "effective rank", "dimensions in use: exp of the entropy of the spectrum" },
  { "width", "of" }, { "spread", "spread", "0: all embeddings are one point" },
  { "d_prime", "d′" }, { "overlap", "overlap" },
}

--- Do the embeddings use their space?
function M.health(s)
  local columns, rows = { { "", "name" } }, {}
  for k, key in ipairs(HEALTH) do columns[k + 1] = { key[2], "number", key[3] } end
  columns[#columns + 1] = { "worst class, its map@r", "text" }
  for i, v in ipairs(s.variants) do
    local evidence = data.evidence_of(v, s.extra.set)
    if #evidence > 0 then
      local cells, worst = { parts.name(s, i) }, evidence[1].class_map
      for k, key in ipairs(HEALTH) do
        local value = mean_of(evidence, key[1])
        cells[k + 1] = value and ("%.3g"):format(value) or nil
      end
      cells[#columns] = worst and worst.label[1] and ("%s, %.2f"):format(tostring(worst.label[1]),
        worst["map@r"][1]) or nil
      rows[#rows + 1] = cells
    end
  end
  if #rows == 0 then return end
  return section("health", "Health of the embeddings",
    parts.table("Mean over seeds; worst class of the first", columns, rows),
    h("p", { class = "note" }, "Active share, mean distances and gradient norm over time are ",
      "among the learning curves; warnings of the collapse watch are at the top."))
end

--- Quality against time.
function M.cost(s)
  if #s.data.cost < 2 then return end
  return section("cost", "Cost", figure("cost", "Quality against the time of a final run. ◆ no " ..
    "other is better in quality, time and memory at once."))
end

return M
