--- Multi-similarity loss, composed.
--
--   1/alpha log(1 + sum_p e^(-alpha (s_p - base))) + 1/beta log(1 + sum_n e^(beta (s_n - base)))
--
-- Wang and others, CVPR 2019, eq. 13.
local crun = require "crun"

return {
  name = "multi_similarity", distance = "cosine", similarity = true, reducer = "mean",
  options = {
    alpha = { "number", 2, above = 0 }, beta = { "number", 50, above = 0 },
    base = { "number", 0.5 }, epsilon = "number?",
  },
  forward = function(o, c)
    if o.epsilon then
      crun.fail(c.where, "epsilon mines pairs of labels by named distances; here use the pairs of " ..
        "crun.miners.multi_similarity")
    end
    local a, _, a2 = c:pairs()
    if c:too_few(a, a2) then return {} end
    local positive, negative = c:masks()
    local d, m = c.distance, c:matrix()
    local function side(exponent, scale, mask)
      return (exponent * scale):masked_logsumexp(mask, { dim = 2, add_one = true }) / scale
    end
    local losses = side(d:margin(m, o.base), o.alpha, positive) +
      side(d:margin(o.base, m), o.beta, negative)
    return { c.element(losses, c:rows()) }
  end,
}
