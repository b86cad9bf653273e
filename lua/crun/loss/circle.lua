--- Circle loss, composed.
--
--   softplus( lse_p(-gamma [1 + m - s_p]+ (s_p - 1 + m)) + lse_n(gamma [s_n + m]+ (s_n - m)) )
--
-- The brackets are constants in the gradient, unless detach = false. A row without positives or
-- without negatives gives 0. Sun and others, CVPR 2020, eq. 6.
return {
  name = "circle", distance = "cosine", similarity = true, reducer = "avg_non_zero",
  options = {
    m = { "number", 0.4 }, gamma = { "number", 80, above = 0 }, detach = { "boolean", true },
  },
  forward = function(o, c)
    local a, _, a2 = c:pairs()
    if c:too_few(a, a2) then return {} end
    local positive, negative = c:masks()
    local s = c.distance:similarity(c:matrix())
    local fixed = o.detach and s:detach() or s
    local pull = (1 + o.m - fixed):relu() * (s - (1 - o.m)) * -o.gamma
    local push = (fixed + o.m):relu() * (s - o.m) * o.gamma
    local losses = (pull:masked_logsumexp(positive, { dim = 2, empty = 0 }) +
      push:masked_logsumexp(negative, { dim = 2, empty = 0 })):softplus()
    local both = positive:amax(2):gt(0):logical_and(negative:amax(2):gt(0))
    return { c.element(losses:masked_fill(both:logical_not(), 0), c:rows()) }
  end,
}
