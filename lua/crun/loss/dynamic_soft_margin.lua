--- Dynamic soft margin loss, composed: each triplet weighed by the share of those that are easier.
--
--   mean_t CDF(x_t) x_t,     x = d_ap - d_an
--
-- CDF comes from a histogram of x over [min_val, -min_val] with soft bins, a running average over
-- the batches (`momentum` is the share of the new one). The gradient passes through the new batch's
-- part of the histogram, as in the reference implementation; what is before the first bin or past
-- the last counts there (the reference raises). The histogram is part of state(). Without labels
-- row i of the batch belongs to row i of the references, and its negative is the nearest other one
-- in its row and column. Zhang, Rusinkiewicz, "Learning local descriptors with a CDF-based dynamic
-- soft margin", ICCV 2019.
local crun = require "crun"

local function of_references(c)
  if not c.references then
    crun.fail(c.where, "needs labels, or references with a row for each row")
  end
  local m = c:matrix()
  local n = math.min(c.B, c.R)
  local k = crun.arange(1, n)
  local own = crun.zeros(c.B * c.R):scatter((k - 1) * c.R + k, { value = 1 })
  own = own:reshape(c.B, c.R):gt(0)
  local others = m:masked_fill(own, math.huge)
  local nearest = crun.minimum(others:amin(2):narrow(1, 1, n), others:amin(1):narrow(1, 1, n))
  return m:index_pairs(k, k) - nearest
end

return {
  name = "dynamic_soft_margin", distance = "euclidean", normalize = true, reducer = "mean",
  labels_optional = true,
  options = {
    min_val = { "number", -2 }, num_bins = { "count", 10, least = 2 },
    momentum = { "number", 0.01, least = 0, most = 1 },
  },
  init = function(self)
    if self.min_val >= 0 then crun.fail("losses.dynamic_soft_margin", "min_val must be below 0") end
    self._carried.histogram = crun.zeros(self.num_bins)
  end,
  -- the fused loss takes the histogram as its fifth input
  call = function(self, z, labels, references, reference_labels, histogram)
    histogram = histogram or self._carried.histogram
    return self._native(z, labels, references, reference_labels, histogram)
  end,
  forward = function(o, c, histogram)
    local x
    if c.relation then
      c:no_weights()
      local a, p, n = c:triplets()
      x = c:at(a, p) - c:at(a, n)
    else
      x = of_references(c)
    end
    if #x == 0 then return {} end
    local old = histogram or c.criterion._carried.histogram
    local bins = #old
    local place = (x - o.min_val) / (2 * math.abs(o.min_val) / bins)
    local bin = place:detach():floor():clamp { min = 0, max = bins - 1 }
    local share = (place - bin):clamp { min = 0, max = 1 }
    local index = bin:int() + 1
    local momentum = old:sum():item() > 0 and o.momentum or 1
    -- one bin more, for the share of what lies in the last one; folded back into it
    local new = crun.zeros(bins + 1):scatter_add(index, 1 - share):scatter_add(index + 1, share)
    new = new * momentum
    local last = new:narrow(1, bins, 1) + new:narrow(1, bins + 1, 1)
    local mixed = old:clone() * (1 - momentum) + crun.cat { new:narrow(1, 1, bins - 1), last }
    mixed = mixed / mixed:sum()
    old:copy_(mixed:detach())
    return { c.reduced((mixed:cumsum(1):index_select(index) * x):mean()) }
  end,
}
