--- How the golden cases of ranking losses among `formulas` are said in crun: function name -> adapter.
local crun = require "crun"
local M = {}

-- ap is by query: each query alone against the other rows as references
function M.smooth_ap(p, i)
  local criterion = crun.losses.smooth_ap { tau = p.tau }
  local ap, n = {}, #i.labels
  for q = 1, n do
    local others = {}
    for j = 1, n do if j ~= q then others[#others + 1] = j end end
    others = crun.int(others)
    local x = i.embeddings:detach()
    local loss = criterion(x:narrow(1, q, 1), i.labels:narrow(1, q, 1),
                           x:index_select(others, 1), i.labels:index_select(others, 1))
    if criterion.stats.queries > 0 then ap[#ap + 1] = 1 - loss:item() end
  end
  return { loss = criterion(i.embeddings, i.labels), ap = crun.tensor(ap) }
end

function M.lmnn(p, i)
  local criterion = crun.losses.lmnn { margin = p.margin, mu = p.mu, reduction = p.reduction }
  local x = i.L and i.embeddings:matmul(i.L:t()) or i.embeddings
  local loss = criterion(x, i.labels, i.target_neighbors + 1)
  return { loss = loss, pull = criterion.stats.pull, push = criterion.stats.push }
end

return M
