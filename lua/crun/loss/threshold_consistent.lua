--- Threshold-consistent margin loss, composed: a term added to another loss.
--
--   lambda_plus mean over {s_p <= margin_plus} of (margin_plus - s_p)
--     + lambda_minus mean over {s_n >= margin_minus} of (s_n - margin_minus)
--
-- Zhang and others, "Threshold-consistent margin loss for open-world deep metric learning", ICLR
-- 2024.
local function reduce(values, mask, reduction)
  local chosen = values:masked_select(mask)
  return #chosen > 0 and (reduction == "sum" and chosen:sum() or chosen:mean()) or nil
end

return {
  name = "threshold_consistent", distance = "cosine", similarity = true, reducer = "mean",
  options = {
    lambda_plus = { "number", 1 }, lambda_minus = { "number", 1 },
    margin_plus = { "number", 0.9 }, margin_minus = { "number", 0.5 },
  },
  forward = function(o, c)
    c:no_weights()
    local a, p, a2, n = c:pairs()
    local d, parts = c.distance, {}
    local below, above = d:margin(c:at(a, p), o.margin_plus), d:margin(o.margin_minus, c:at(a2, n))
    local positive = reduce(below, below:detach():ge(0), o.reduction)
    local negative = reduce(above, above:detach():ge(0), o.reduction)
    local total = c.zero
    if positive then total = total + positive * o.lambda_plus end
    if negative then total = total + negative * o.lambda_minus end
    parts[1] = c.reduced(total)
    return parts
  end,
}
