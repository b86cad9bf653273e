--- Lifted structure loss, composed: one term for each positive pair.
--
--   l_ap = 1/2 [ d_ap - pos_margin + log( sum_{n of a} e^(neg_margin - d_an)
--                                       + sum_{n of p} e^(neg_margin - d_pn) ) ]+^2
--
-- The sum over the negatives of p is that over those of row p: with a reference set there is none
-- (the reference implementation then compares row numbers of two sets: compat = "pml"). A pair
-- without any negative has logarithm 0. Song, Xiang, Jegelka, Savarese, CVPR 2016, eq. 4.
local crun = require "crun"

return {
  name = "lifted", distance = "euclidean", reducer = "mean",
  options = { neg_margin = { "number", 1 }, pos_margin = { "number", 0 } },
  forward = function(o, c)
    local a, p, a2, n, wp = c:pairs()
    if c:too_few(a, a2) or #a == 0 or #a2 == 0 then return {} end
    local d = c.distance
    local rows = math.max(c.B, c.R)
    -- -inf stands for no negatives, and is kept from the sum of the two
    local lse = d:margin(o.neg_margin, c:at(a2, n)):segment_logsumexp(a2, { segments = rows })
    local of_a, total = lse:index_select(a), nil
    if c.same or c.compat == "pml" then
      -- a negative counts once where a and p are the same number
      local of_p = lse:index_select(p):masked_fill(a:eq(p), -math.huge)
      total = crun.stack({ of_a, of_p }, 2)
    else
      total = of_a:unsqueeze(2)
    end
    local some = total:detach():gt(-1e30)
    local finite = total:masked_fill(some:logical_not(), 0)
    local negatives = finite:masked_logsumexp(some, { dim = 2, empty = 0 })
    local losses = (negatives + d:margin(c:at(a, p), o.pos_margin)):relu():square() / 2
    return { c.pair(losses, a, p, wp) }
  end,
}
