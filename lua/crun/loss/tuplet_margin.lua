--- Tuplet margin loss, composed: one term for each positive pair.
--
--   l_ap = log(1 + sum_n e^(scale (s_an - cos(theta_ap - margin))))      theta = acos s, margin in
--                                                                        degrees
--
-- cos(theta - m) = s cos m + sqrt(1 - s^2) sin m: no acos, whose slope is infinite at s = 1; the
-- root has gradient 0 there. Yu, Tao, ICCV 2019, eq. 5.
local function cos_less(s, degrees)
  local m = math.rad(degrees)
  local rest = 1 - s:square()
  local inside = rest:gt(0)
  local root = rest:masked_fill(inside:logical_not(), 1):sqrt():masked_fill(inside:logical_not(), 0)
  return s * math.cos(m) + root * math.sin(m)
end

return {
  name = "tuplet_margin", distance = "cosine", similarity = true, reducer = "mean",
  options = { margin = { "number", 5.73 }, scale = { "number", 64, above = 0 } },
  forward = function(o, c)
    local a, p, a2, n, wp = c:pairs()
    if c:too_few(a, a2) or #a == 0 or #a2 == 0 then return {} end
    local all = (c:at(a2, n) * o.scale):segment_logsumexp(a2, { segments = c.B }):index_select(a)
    return { c.pair((all - cos_less(c:at(a, p), o.margin) * o.scale):softplus(), a, p, wp) }
  end,
}
