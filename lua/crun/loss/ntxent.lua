--- NT-Xent (InfoNCE), composed: one term for each positive pair.
--
--   l_ap = -log( e^(s_ap / t) / (e^(s_ap / t) + sum_n e^(s_an / t)) ) = softplus( lse_n(s_an / t) -
--   s_ap / t )
--
-- Sohn, NIPS 2016; van den Oord and others, 2018; Chen and others (SimCLR), ICML 2020.
return {
  name = "ntxent", distance = "cosine", similarity = true, reducer = "mean",
  options = { temperature = { "number", 0.07, above = 0 } },
  forward = function(o, c)
    local a, p, a2, n, wp = c:pairs()
    if c:too_few(a, a2) or #a == 0 or #a2 == 0 then return {} end
    local d = c.distance
    local positive = d:similarity(c:at(a, p)) / o.temperature
    local negative = d:similarity(c:at(a2, n)) / o.temperature
    -- an anchor without negatives: log(1 + 0)
    local all = negative:segment_logsumexp(a2, { segments = c.B }):index_select(a)
    return { c.pair((all - positive):softplus(), a, p, wp) }
  end,
}
