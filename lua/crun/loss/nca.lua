--- Neighbourhood components analysis, composed: runtime/losses/nca.c has the formula.
--
-- Listed pairs do not choose what is compared: they weigh the rows, each by how often it is named
-- by the most frequent one. Rows without a positive are left out.
local crun = require "crun"

return {
  name = "nca", distance = "euclidean", squared = true, reducer = "mean",
  options = { softmax_scale = { "number", 1, above = 0 } },
  forward = function(o, c)
    if c.B <= 1 and c.same then return {} end
    local r = c.relation
    local labels = crun.relation { labels = r.labels or c:labels(),
      reference_labels = r.reference_labels,
      ignored = r.ignored, share = r.share }
    local positive, negative = labels:masks(c.B, c.R, c.same)
    local rows = positive:amax(2):gt(0):nonzero():reshape(-1)
    if #rows == 0 then return {} end
    local s = c.distance:similarity(c:matrix()) * o.softmax_scale
    s = s:index_select(rows)
    positive, negative = positive:index_select(rows), negative:index_select(rows)
    local losses = s:masked_logsumexp(positive:logical_or(negative), { dim = 2 }) -
      s:masked_logsumexp(positive, { dim = 2 })
    local weights = c:element_weights()
    if weights then losses = losses * weights:index_select(rows) end
    return { c.element(losses, rows) }
  end,
}
