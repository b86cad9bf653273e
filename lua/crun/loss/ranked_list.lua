--- Ranked list loss, composed.
--
--   l_i = (1 - imbalance) wmean_p [d_ip - (alpha - margin)]+ + imbalance wmean_n [alpha - d_in]+
--
-- over the positives farther than alpha - margin, weighed by e^(Tp (d - (alpha - margin))), and the
-- negatives nearer than alpha, weighed by e^(Tn (alpha - d)). The weights are differentiated
-- through, a negative at distance 0 has none, and B 1e-5 is added to the sum of weights, as in the
-- reference implementation. alpha is 1 + margin / 2 when not given. Wang and others, CVPR 2019, eq.
-- 4 to 8.
local crun = require "crun"

return {
  name = "ranked_list", distance = "euclidean", reducer = "mean",
  options = {
    margin = { "number", 0.4 }, Tn = { "number", 1 }, Tp = { "number", 0 }, alpha = "number?",
    imbalance = { "number", 0.5, least = 0, most = 1 },
  },
  forward = function(o, c)
    c:whole_batch_only(true)
    local positive, negative = c:masks()
    local alpha = o.alpha or 1 + o.margin / 2
    local radius = alpha - o.margin
    local d = c:matrix():masked_fill(crun.eye(c.B):byte(), 0)
    local value = d:detach()
    local function side(over, scale, mask)
      local weight = (over * scale):masked_fill(mask:logical_not(), -math.huge):exp()
      return (weight * over):sum(2) / (weight + 1e-5):sum(2)
    end
    local far = positive:logical_and(value:gt(radius))
    local apart = c.distance.inverted and value:gt(0) or value:ne(0)
    local near = negative:logical_and(value:lt(alpha)):logical_and(apart)
    local losses = side(d - radius, o.Tp, far) * (1 - o.imbalance) +
      side(alpha - d, o.Tn, near) * o.imbalance
    return { c.element(losses, c:rows()) }
  end,
}
