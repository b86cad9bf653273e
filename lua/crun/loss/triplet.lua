--- Triplet loss, composed: runtime/losses/triplet.c has the formulas.
local crun = require "crun"

-- of every pair (a, p) the negative that `choose` says: a, p, n of those that have one
local function mined(c, mine)
  local positive, negative = c:masks()
  local m = c:matrix():detach()
  local d = c.distance
  if d.inverted then m = -m end
  if mine == "hard" then
    local both = positive:amax(2):gt(0):logical_and(negative:amax(2):gt(0)):nonzero():reshape(-1)
    local p = m:masked_fill(positive:logical_not(), -math.huge):argmax(2):index_select(both)
    local n = m:masked_fill(negative:logical_not(), math.huge):argmin(2):index_select(both)
    return both, p, n
  end
  local index = positive:nonzero()
  local a, p = index:select(2, 1):contiguous(), index:select(2, 2):contiguous()
  local row, allowed = m:index_select(a), negative:index_select(a)
  local farther = row:gt(m:index_pairs(a, p):unsqueeze(2)):logical_and(allowed)
  local nearest = row:masked_fill(farther:logical_not(), math.huge):argmin(2)
  local farthest = row:masked_fill(allowed:logical_not(), -math.huge):argmax(2)
  local any = farther:amax(2):gt(0)
  local n = crun.where(any, nearest:real(), farthest:real()):int()
  local some = allowed:amax(2):gt(0):nonzero():reshape(-1)
  return a:index_select(some), p:index_select(some), n:index_select(some)
end

return {
  name = "triplet", distance = "euclidean", reducer = "avg_non_zero",
  options = {
    margin = "number?", soft = { "boolean", false }, swap = { "boolean", false },
    mine = { "string", "all", choices = { "all", "hard", "semihard" } },
  },
  forward = function(o, c)
    local a, p, n, weight
    if o.mine == "all" or c.relation.listed then a, p, n, weight = c:triplets()
    else a, p, n = mined(c, o.mine) end
    if #a == 0 then return {} end
    local d, to_negative = c.distance, c:at(a, n)
    if o.swap then
      if c.references then crun.fail(c.where, "swap has no meaning for a reference set") end
      to_negative = d:nearest(to_negative, c:at(p, n))
    end
    local margin = c:margin(o.margin or (o.soft and 0 or 0.2), a)
    local violation = d:margin(c:at(a, p), to_negative) + margin
    return { c.triplet(o.soft and violation:softplus() or violation:relu(), a, weight) }
  end,
}
