--- Instance loss, composed: every row of the batch is a class of its own.
--
--   l_i = -log softmax_j(gamma s_ij)_{t_i}
--
-- target = "self": t_i = i. "rank", as in the reference implementation: the rank of the row's label
-- among the labels of the batch, which changes when labels are renamed. Zheng and others,
-- "Dual-path convolutional image-text embeddings with instance loss", 2017, eq. 6.
return {
  name = "instance", distance = "cosine", similarity = true, reducer = "mean",
  options = {
    gamma = { "number", 64, least = 0 },
    target = { "string", "rank", choices = { "rank", "self" } },
  },
  forward = function(o, c)
    c:whole_batch_only(true)
    local rows, target = c:rows(), nil
    if o.target == "rank" then target = select(2, c:labels():unique()) else target = rows end
    local s = c.distance:similarity(c:matrix()) * o.gamma
    return { c.element(-s:log_softmax(2):index_pairs(rows, target), rows) }
  end,
}
