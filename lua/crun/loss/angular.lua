--- Angular loss, composed: one term for each positive pair.
--
--   l_ap = log(1 + sum_n e^(4 tan^2 alpha (a + p) . n - 2 (1 + tan^2 alpha) a . p))
--
-- n runs over the rows of other labels (listed pairs without labels: over the negatives listed for
-- a). normalize = true divides rows by their norms; with raw_negatives = true anchors and positives
-- only, as the reference implementation does. (a + p) . n = a . n + p . n, so the width D is in the
-- inner products only. Wang and others, ICCV 2017, eq. 8.
local crun = require "crun"

return {
  name = "angular", distance = "euclidean", reducer = "mean", unfused = { "raw_negatives" },
  options = { alpha = { "number", 40, above = 0 }, raw_negatives = { "boolean", false } },
  forward = function(o, c)
    local a, p, a2, n, wp = c:pairs()
    if #a == 0 or #a2 == 0 then return {} end
    local d = c.distance
    local t = math.tan(math.rad(o.alpha)) ^ 2
    local others = c.references or c.z
    local x, y = d:prepare(c.z), d:prepare(others)
    local negatives = o.raw_negatives and others or y
    local of_a = x:matmul(negatives, { transpose_y = true }):index_select(a)
    local of_p = y:matmul(negatives, { transpose_y = true }):index_select(p)
    local ap = (x:index_select(a) * y:index_select(p)):sum { dim = 2, keepdim = true }
    local mask
    if c.relation.labels then
      local r = c.relation
      local plain = crun.relation { labels = r.labels, reference_labels = r.reference_labels }
      mask = select(2, plain:masks(c.B, c.R, c.same))
    else
      mask = select(2, c.relation:masks(c.B, c.R, c.same))
    end
    local exponent = (of_a + of_p) * (4 * t) - ap * (2 * (1 + t))
    local losses = exponent:masked_logsumexp(mask:index_select(a), { dim = 2, add_one = true })
    return { c.pair(losses, a, p, wp) }
  end,
}
