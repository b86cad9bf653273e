--- Contrastive loss, composed: runtime/losses/contrastive.c has the formulas.
local crun = require "crun"

local function pml(o, c, dp, dn, a2)
  local d = c.distance
  return d:margin(dp, o.pos_margin):relu(), d:margin(c:margin(o.neg_margin, a2), dn):relu()
end

local function energy(o, c, dp, dn, a2)
  if c.distance.inverted then
    crun.fail(c.where, ('variant = "%s" is for distances, not for similarities'):format(o.variant))
  end
  if o.variant == "chopra2005" then
    return dp:square() * (2 / o.Q), (dn * (-2.77 / o.Q)):exp() * (2 * o.Q)
  end
  local gap = c.distance:margin(c:margin(o.margin, a2), dn):relu()
  return dp:square() / 2, o.variant == "seed" and gap or gap:square() / 2
end

local function reduction(o) return o.reduction or (o.variant == "pml" and "nonzero" or "mean") end

return {
  name = "contrastive", distance = "euclidean",
  options = {
    variant = { "string", "hadsell", choices = { "hadsell", "seed", "pml", "chopra2005" } },
    margin = { "number", 1 }, pos_margin = { "number", 0 }, neg_margin = { "number", 1 },
    Q = { "number", 2, above = 0 },
  },
  reducer = function(o)
    return ({ nonzero = "avg_non_zero", sides = "mean", mean = "mean", sum = "sum" })[reduction(o)]
  end,
  reductions = { mean = "sides", avg_non_zero = "nonzero" },
  forward = function(o, c)
    local a, p, a2, n, wp, wn = c:pairs()
    if c:too_few(a, a2) then return {} end
    local f = o.variant == "pml" and pml or energy
    local positive, negative = f(o, c, c:at(a, p), c:at(a2, n), a2)
    -- of a batch every pair comes in both orders, and counts once in a sum
    if not c.own_reducer and reduction(o) == "sum" and c.same and not c.relation.listed then
      positive, negative = positive / 2, negative / 2
    end
    local parts = {
      c.pair(positive, a, p, wp, "pos_loss"), c.pair(negative, a2, n, wn, "neg_loss"),
    }
    return (c.own_reducer or reduction(o) ~= "mean") and parts or c.one_part(parts)
  end,
}
