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

return M
