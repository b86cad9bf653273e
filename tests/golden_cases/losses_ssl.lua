--- How pytorch-metric-learning's losses of two views are said in crun.
local crun = require "crun"
local M = {}

function M.VICRegLoss(p, i)
  local criterion = crun.losses.vicreg {
    lambda = p.invariance_lambda, mu = p.variance_mu, nu = p.covariance_v, eps = p.eps,
  }
  return { loss = criterion(i.embeddings, i.ref_emb) }
end

return M
