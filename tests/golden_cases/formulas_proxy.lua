--- How the golden cases of `formulas` for losses that own weights are said in crun.
local crun = require "crun"
local proxy = require "crun.proxy"
local M = {}

-- centres move by the paper's rule; their gradient is that of the loss
function M.center(p, i)
  local moving = proxy.center { classes = { 0, 1, 2, 3 }, weights = i.centers:detach():clone(),
    alpha = p.alpha }
  moving:update(i.embeddings, i.labels)
  local criterion = proxy.center { classes = { 0, 1, 2, 3 }, weights = i.centers, learn = true,
    reduction = p.reduction }
  return { loss = criterion(i.embeddings, i.labels), centers_updated = moving.weight }
end

function M.skipgram_negative_sampling(p, i)
  local criterion = crun.native.losses.skip_gram { reduction = p.reduction }
  return { loss = criterion(i.input_table, i.output_table, i.center + 1, i.context + 1,
                            i.negatives + 1) }
end

return M
