--- How the golden cases of `formulas` are said in crun.
local crun = require "crun"
local M = {}

-- A case of explicit pairs is a batch of two for each pair: one label when it is similar, two when it is not.
local function pairs_loss(options)
  return function(p, i)
    local criterion = crun.losses.contrastive(options(p))
    local n, total = #i.x1, nil
    for k = 1, n do
      local both = crun.cat({ i.x1:narrow(1, k, 1), i.x2:narrow(1, k, 1) }, 1)
      local loss = criterion(both, crun.int{ 1, i.y[k] ~= 0 and 1 or 2 })
      total = total and total + loss or loss
    end
    return { loss = p.reduction == "mean" and total / n or total }
  end
end

local function distance(p) return p.norm == 1 and "manhattan" or "euclidean" end

M.contrastive_hadsell2006 = pairs_loss(function(p)
  return { variant = "hadsell", margin = p.margin, distance = distance(p), reduction = "sum" }
end)
M.contrastive_half_square_hinge = pairs_loss(function(p)
  return { variant = "seed", margin = p.margin, distance = distance(p), reduction = "sum" }
end)
M.contrastive_chopra2005 = pairs_loss(function(p)
  return { variant = "chopra2005", Q = p.Q, distance = distance(p), reduction = "sum" }
end)
M.contrastive_posneg_margin = pairs_loss(function(p)
  return { variant = "pml", pos_margin = p.pos_margin, neg_margin = p.neg_margin, distance = distance(p),
           reduction = "sum" }
end)

-- An explicit triplet is one anchor against a reference set of its positive and its negative. With swap it is a
-- batch of three, which holds the triplet twice (with anchor and positive exchanged, which swap does not see).
-- The formula's soft form has no margin.
function M.triplet(p, i)
  local criterion = crun.losses.triplet { margin = p.soft and 0 or p.margin, squared = p.squared, swap = p.swap,
                                          soft = p.soft, reduction = "sum" }
  local n, total = #i.anchor, nil
  for k = 1, n do
    local a, positive, negative = i.anchor:narrow(1, k, 1), i.positive:narrow(1, k, 1), i.negative:narrow(1, k, 1)
    local loss
    if p.swap then loss = criterion(crun.cat({ a, positive, negative }, 1), crun.int{ 1, 1, 2 }) / 2
    else loss = criterion(a, crun.int{ 1 }, crun.cat({ positive, negative }, 1), crun.int{ 1, 2 }) end
    total = total and total + loss or loss
  end
  return { loss = p.reduction == "mean" and total / n or total }
end

function M.triplet_margin_torch(p, i)
  local function d(a, b) return crun.pairwise_distance(a, b, { p = p.p, eps = p.eps }) end
  return { loss = (d(i.anchor, i.positive) - d(i.anchor, i.negative) + p.margin):relu():mean() }
end

function M.softmax_cross_entropy(p, i, case)
  local options = { reduction = p.reduction, label_smoothing = p.label_smoothing }
  local ignored = p.ignore_index and p.ignore_index ~= -100 and p.ignore_index
  if ignored then options.ignore_index = ignored + 1 end
  if i.targets then
    local loss = -(i.targets * i.logits:log_softmax(2)):sum(2)
    return { loss = loss:mean() }
  end
  local loss = crun.losses.cross_entropy(options)(i.logits, i.labels + 1, i.class_weights)
  if case.params.reduction == "none" then
    loss:sum():backward()
    return { loss = loss, done = true }
  end
  return { loss = loss }
end

function M.bce_logits(p, i)
  return { loss = crun.losses.binary_cross_entropy { reduction = p.reduction } (i.logits, i.targets, nil, i.pos_weight) }
end
function M.bce_probabilities(p, i)
  return { loss = crun.losses.binary_cross_entropy { reduction = p.reduction, from = "probabilities" }
                    (i.probabilities, i.targets) }
end

for _, group in ipairs { "lse", "ranking", "proxy", "ssl" } do
  local found, adapters = pcall(require, "golden_cases.formulas_" .. group)
  if not found and not tostring(adapters):find("not found", 1, true) then error(adapters, 0) end
  for name, adapter in pairs(found and adapters or {}) do M[name] = adapter end
end

return M
