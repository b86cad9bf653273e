--- How the golden cases of `formulas` for two views, sequences and clusters are said in crun.
local crun = require "crun"
local M = {}

local function vicreg(p, i)
  local criterion = crun.losses.vicreg {
    variant = p.variant, lambda = p.lambda, mu = p.mu, nu = p.nu, gamma = p.gamma, eps = p.eps,
  }
  local loss = criterion(i.view1, i.view2)
  return { loss = loss, invariance = criterion.stats.invariance,
           variance = criterion.stats.variance, covariance = criterion.stats.covariance }
end
M.vicreg_code, M.vicreg_paper = vicreg, vicreg

function M.barlow_twins(p, i)
  return { loss = crun.losses.barlow_twins { lambda = p.lambda, eps = p.eps, scale = p.scale }
                    (i.view1, i.view2) }
end

-- one sequence as a batch of one
local function one(x) return x:reshape(1, x:size(1), x:ndim() > 1 and x:size(2) or 1) end

function M.soft_dtw(p, i)
  if i.D then
    return { loss = crun.soft_dtw(i.D:unsqueeze(1), { gamma = p.gamma }):sum() }
  end
  return { loss = crun.losses.soft_dtw { gamma = p.gamma } (one(i.x), one(i.y)) }
end

function M.soft_dtw_divergence(p, i)
  return { loss = crun.losses.soft_dtw { gamma = p.gamma, divergence = true } (one(i.x), one(i.y)) }
end

function M.dtw(p, i)
  local cost = p.cost == "abs" and "manhattan" or "squared"
  local x, y, options = one(i.x), one(i.y), { cost = cost, window = p.window }
  local distance, path, steps, accumulated = crun.dtw(x, y, { cost = cost, window = p.window, path = true })
  assert(crun.allclose(distance, crun.dtw(x, y, options), 1e-6, 1e-6))
  return { distance = distance[1], path = path[1]:narrow(1, 1, steps[1]) - 1,
           accumulated = accumulated[1] }
end

function M.magnet(p, i)
  local criterion = crun.losses.magnet {
    alpha = p.alpha, reduction = "none", variance_gradient = p.variance ~= "batch_constant",
  }
  local losses = criterion(i.embeddings, i.clusters + 1, i.cluster_classes, i.centers,
    i.variance and crun.scalar(i.variance[1]))
  return { loss = losses:mean(), losses = losses, sigma2 = criterion.stats.variance }
end

return M
