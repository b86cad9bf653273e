--- Intra-pair variance loss, composed.
--
--   mean_p [ (1 - pos_eps) mean(s_p) - s_p ]+^2  +  mean_n [ s_n - (1 + neg_eps) mean(s_n) ]+^2
--
-- For distances the two change sides. Yu, Tao, "Deep metric learning with tuplet margin loss", ICCV
-- 2019, eq. 7.
local function spread(x, eps, below)
  local mean = x:mean()
  return (below and mean * (1 - eps) - x or x - mean * (1 + eps)):relu():square()
end

return {
  name = "intra_pair_variance", distance = "cosine", similarity = true, reducer = "mean",
  options = { pos_eps = { "number", 0.01 }, neg_eps = { "number", 0.01 } },
  forward = function(o, c)
    local a, p, a2, n, wp, wn = c:pairs()
    if c:too_few(a, a2) then return {} end
    local parts, larger = {}, c.distance.inverted
    if #a > 0 then
      parts[1] = c.pair(spread(c:at(a, p), o.pos_eps, larger), a, p, wp, "pos_loss")
    end
    if #a2 > 0 then
      parts[#parts + 1] = c.pair(spread(c:at(a2, n), o.neg_eps, not larger), a2, n, wn, "neg_loss")
    end
    return parts
  end,
}
