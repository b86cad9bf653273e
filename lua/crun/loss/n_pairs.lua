--- Multi-class N-pair loss, composed.
--
--   mc          l_k = -log softmax_j(s(a_k, p_j))_k        one positive pair (a_k, p_k) for each
--                                                          class k
--   one_vs_one  l_k = sum_{j != k} log(1 + e^(s(a_k, p_j) - s(a_k, p_k)))
--
-- l2_reg adds l2_reg / 2 (|a_k|^2 + |p_k|^2). The pair of a class is its first in the order of
-- rows, or of the list. s is the inner product unless told otherwise. Sohn, NIPS 2016, eq. 5 and 7.
local crun = require "crun"

-- the places of the first pair of each class, classes in order
local function first_of_each(classes)
  local values, seen, places = classes:totable(), {}, {}
  for i, class in ipairs(values) do
    if not seen[class] then
      seen[class] = true
      places[#places + 1] = { class, i }
    end
  end
  table.sort(places, function(x, y) return x[1] < y[1] end)
  for i, place in ipairs(places) do places[i] = place[2] end
  return crun.int(places)
end

return {
  name = "n_pairs", distance = "dot", similarity = true, reducer = "mean",
  options = {
    variant = { "string", "mc", choices = { "mc", "one_vs_one" } },
    l2_reg = { "number", 0, least = 0 },
  },
  forward = function(o, c)
    local a, p = c:pairs()
    if #a == 0 then return {} end
    local chosen = first_of_each(c:labels():index_select(a))
    a, p = a:index_select(chosen), p:index_select(chosen)
    local d = c.distance
    local anchors, positives = c.z:index_select(a), (c.references or c.z):index_select(p)
    local s = d:similarity(d:matrix(anchors, positives))
    local k = crun.arange(1, #a)
    local losses
    if o.variant == "mc" then losses = -s:log_softmax(2):index_pairs(k, k)
    else
      local over = (s - s:index_pairs(k, k):unsqueeze(2)):softplus()
      losses = over:masked_fill(crun.eye(#a):byte(), 0):sum(2)
    end
    if o.l2_reg > 0 then
      losses = losses + (anchors:square():sum(2) + positives:square():sum(2)) * (o.l2_reg / 2)
    end
    return { c.element(losses, a) }
  end,
}
