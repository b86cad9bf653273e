--- FastAP, composed: average precision from histograms of distances with soft bins.
--
--   l_i = 1 - 1/K_i sum_r h+_r H+_r / H_r        H+ and H: running sums of the positives' and of
--                                                all bins
--
-- Bins are over [0, range], by default the distances of unit rows, 2^power; what is beyond counts
-- at the end. Rows without a positive are left out; listed pairs weigh the rows. Cakir and others,
-- CVPR 2019, eq. 9.
local crun = require "crun"

return {
  name = "fast_ap", distance = "euclidean", squared = true, normalize = true, reducer = "mean",
  options = { bins = { "count", 10 }, range = { "number?", above = 0 } },
  forward = function(o, c)
    local r = c.relation
    local labels = crun.relation { labels = r.labels or c:labels(),
      reference_labels = r.reference_labels,
      ignored = r.ignored, share = r.share }
    local positive, negative = labels:masks(c.B, c.R, c.same)
    local rows = positive:amax(2):gt(0):nonzero():reshape(-1)
    if #rows == 0 then return {} end
    local d = c:matrix():index_select(rows)
    positive, negative = positive:index_select(rows):real(), negative:index_select(rows):real()
    if not o.range and not c.distance.normalize then
      crun.fail(c.where, "range must be given unless rows are normalised")
    end
    local width = (o.range or 2 ^ c.distance.power) / o.bins
    local bins = {}
    local place = (d / width):clamp { max = o.bins }
    for k = 0, o.bins do bins[k + 1] = (1 - (place - k):abs()):relu() end
    local pulse = crun.stack(bins, 3)                                     -- [rows B bins + 1]
    local h_positive = (pulse * positive:unsqueeze(3)):sum(2)
    local h_all = h_positive + (pulse * negative:unsqueeze(3)):sum(2)
    local gain, all = h_positive * h_positive:cumsum(2), h_all:cumsum(2)
    local empty = gain:detach():gt(0):logical_and(all:detach():gt(0)):logical_not()
    local precision = (gain / all:masked_fill(empty, 1)):masked_fill(empty, 0):sum(2)
    local losses = 1 - precision / positive:sum(2)
    local weights = c:element_weights()
    if weights then losses = losses * weights:index_select(rows) end
    return { c.element(losses, rows) }
  end,
}
