--- Generalised lifted structure loss, composed.
--
--   l_i = [ log sum_p e^(d_ip - pos_margin) + log sum_n e^(neg_margin - d_in) ]+
--
-- The logarithm of an empty sum is taken as 0. Hermans, Beyer, Leibe, 2017, eq. 9.
return {
  name = "generalized_lifted", distance = "euclidean", reducer = "mean",
  options = { neg_margin = { "number", 1 }, pos_margin = { "number", 0 } },
  forward = function(o, c)
    local a, _, a2 = c:pairs()
    if c:too_few(a, a2) then return {} end
    local positive, negative = c:masks()
    local d, m = c.distance, c:matrix()
    local losses = d:margin(m, o.pos_margin):masked_logsumexp(positive, { dim = 2, empty = 0 }) +
      d:margin(o.neg_margin, m):masked_logsumexp(negative, { dim = 2, empty = 0 })
    return { c.element(losses:relu(), c:rows()) }
  end,
}
