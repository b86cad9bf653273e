--- How the golden cases of `formulas` of the log-sum-exp family are said in crun.
local crun = require "crun"
local M = {}

local function distance(p, options)
  options.distance = p.normalize and "cosine" or "dot"
  return options
end

local function two_views(i)
  local n = #i.view1
  local labels = crun.arange(1, n):int()
  return crun.cat({ i.view1, i.view2 }, 1), crun.cat({ labels, labels }, 1)
end

local function supcon(p, i)
  local options = { variant = p.variant, temperature = p.temperature }
  if p.base_temperature ~= 0 then options.base_temperature = p.base_temperature end
  return { loss = crun.losses.supcon(distance(p, options))(i.embeddings, i.labels) }
end
M.supcon_out, M.supcon_in = supcon, supcon

function M.ntxent(p, i)
  return { loss = crun.losses.ntxent(distance(p, { temperature = p.temperature }))(two_views(i)) }
end

function M.decoupled_contrastive(p, i)
  local options = distance(p, { temperature = p.temperature, sigma = p.sigma })
  return { loss = crun.losses.decoupled_contrastive(options)(two_views(i)) }
end

-- Negatives given apart: each query against its positive and them alone.
function M.infonce(p, i)
  if not i.negatives then
    local options = distance(p, { scale = 1 / p.temperature })
    return { loss = crun.losses.multiple_negatives_ranking(options)(i.query, i.positive) }
  end
  local criterion = crun.losses.ntxent(distance(p, { temperature = p.temperature }))
  local n, labels, total = #i.query, { 1 }, nil
  for k = 1, #i.negatives do labels[k + 1] = 2 end
  for k = 1, n do
    local references = crun.cat({ i.positive:narrow(1, k, 1), i.negatives }, 1)
    local loss = criterion(i.query:narrow(1, k, 1), crun.int { 1 }, references, crun.int(labels))
    total = total and total + loss or loss
  end
  return { loss = total / n }
end

function M.npair(p, i)
  local labels = crun.arange(1, #i.anchors):int()
  local criterion = crun.losses.n_pairs { l2_reg = p.l2_reg }
  return { loss = criterion(i.anchors, labels, i.positives, labels) }
end

function M.siglip(p, i)
  local criterion = crun.losses.siglip(distance(p, {}))
  return { loss = criterion(i.image, i.text, i.t_prime:reshape({}), i.bias:reshape({})) }
end

function M.clip(p, i)
  local options = distance(p, { symmetric = true })
  local criterion = crun.losses.multiple_negatives_ranking(options)
  return { loss = criterion(i.image, i.text, i.logit_scale:reshape({})) }
end

return M
