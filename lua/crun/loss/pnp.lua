--- PNP loss, composed: how many negatives stand before each positive.
--
--   R_ip = sum_n sigmoid((s_in - s_ip) / anneal)           softly counted, n a negative of i
--   l_i  = 1/|P_i| sum_{p in P_i} f(R_ip)                  P_i: the positives of i, and i itself
--
--   variant  O   R                      Ds  log(1 + R)             Dq  1 - (1 + R)^-alpha
--            Iu  (1 + R) log(1 + R)     Ib  (b R - log(1 + b R)) / b^2
--
-- averaged over the rows with another of their label. Li and others, "Rethinking the optimization
-- of average precision: only penalizing negative instances before positive ones is enough", AAAI
-- 2022.
local crun = require "crun"

local shapes = {
  O = function(R) return R end,
  Ds = function(R) return R:log1p() end,
  Dq = function(R, o) return (R + 1) ^ -o.alpha end,
  Iu = function(R) return (R + 1) * R:log1p() end,
  Ib = function(R, o) return (R * o.b - (R * o.b):log1p()) / o.b ^ 2 end,
}

return {
  name = "pnp", distance = "cosine", similarity = true, reducer = "mean",
  options = {
    b = { "number", 2, above = 0 }, alpha = { "number", 1, above = 0 },
    anneal = { "number", 0.01, above = 0 },
    variant = { "string", "O", choices = { "O", "Ds", "Dq", "Iu", "Ib" } },
  },
  forward = function(o, c)
    c:whole_batch_only(true)
    local positive, negative = c:masks()
    if positive:sum():item() == 0 then return {} end
    local s = c.distance:similarity(c:matrix())
    local own = positive:logical_or(crun.eye(c.B):byte()):real()
    -- [i p n]: s_in - s_ip over the negatives n of p, which are those of i
    local before = ((s:unsqueeze(2) - s:unsqueeze(3)) / o.anneal):sigmoid()
    before = before * negative:real():unsqueeze(1)
    local f = shapes[o.variant](before:sum(3), o)
    local rows = positive:amax(2):gt(0):nonzero():reshape(-1)
    local losses = ((f * own):sum(2) / own:sum(2)):index_select(rows)
    if o.variant == "Dq" then losses = 1 - losses end
    return { c.element(losses, rows) }
  end,
}
