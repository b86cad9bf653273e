--- Multi-class N-pair loss, composed.
--
--   l_k = -log softmax_j(s(a_k, p_j))_k        one positive pair (a_k, p_k) for each class k
--
-- The pair of a class is its first in the order of rows, or of the list. s is the inner product unless told
-- otherwise. Sohn, NIPS 2016, eq. 7.
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
  options = {},
  forward = function(_, c)
    if c.references then crun.fail(c.where, "takes no reference set") end
    local a, p = c:pairs()
    if #a == 0 then return {} end
    local chosen = first_of_each(c:labels():index_select(a))
    a, p = a:index_select(chosen), p:index_select(chosen)
    local d = c.distance
    local s = d:similarity(d:matrix(c.z:index_select(a), c.z:index_select(p)))
    local k = crun.arange(1, #a)
    return { c.element(-s:log_softmax(2):index_pairs(k, k), a) }
  end,
}
