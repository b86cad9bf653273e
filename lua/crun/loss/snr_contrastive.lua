--- Contrastive loss on the signal-to-noise distance var(x - y) / var(x), x the anchor, composed.
--
--   max(0, d_ap - pos_margin)   and   max(0, neg_margin - d_an), each averaged over its terms above
--                                     0
--
-- Yuan, Deng, Tang, Tang, Chen, "Signal-to-noise ratio: a robust distance metric for deep metric
-- learning", CVPR 2019.
return {
  name = "snr_contrastive", distance = "snr",
  options = { pos_margin = { "number", 0 }, neg_margin = { "number", 1 } },
  reducer = function(o)
    return ({ sides = "mean", mean = "mean", sum = "sum" })[o.reduction] or "avg_non_zero"
  end,
  reductions = { mean = "sides", avg_non_zero = "nonzero", sum = "sum" },
  forward = function(o, c)
    local a, p, a2, n, wp, wn = c:pairs()
    if c:too_few(a, a2) then return {} end
    local d = c.distance
    local positive = d:margin(c:at(a, p), o.pos_margin):relu()
    local negative = d:margin(c:margin(o.neg_margin, a2), c:at(a2, n)):relu()
    local parts = {
      c.pair(positive, a, p, wp, "pos_loss"), c.pair(negative, a2, n, wn, "neg_loss"),
    }
    return (c.own_reducer or o.reduction ~= "mean") and parts or c.one_part(parts)
  end,
}
