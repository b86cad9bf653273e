--- Supervised contrastive loss, composed: runtime/losses/supcon.c has the formulas.
return {
  name = "supcon", distance = "cosine", similarity = true, reducer = "avg_non_zero",
  options = {
    temperature = { "number", 0.1, above = 0 }, base_temperature = "number?",
    variant = { "string", "out", choices = { "out", "in" } },
  },
  forward = function(o, c)
    local a, _, a2 = c:pairs()
    if c:too_few(a, a2) or #a == 0 or #a2 == 0 then return {} end
    local positive, negative = c:masks()
    local s = c.distance:similarity(c:matrix()) / o.temperature
    local all = s:masked_logsumexp(positive:logical_or(negative), { dim = 2, empty = 0 })
    local count = positive:real():sum(2)
    local some = count:clamp { min = 1 }
    local losses
    if o.variant == "in" then
      losses = all - s:masked_logsumexp(positive, { dim = 2, empty = 0 }) + some:log()
      losses = losses:masked_fill(count:eq(0), 0)
    else
      local own = s:masked_fill(positive:logical_not(), 0):sum(2)
      losses = (all * count - own) / some
    end
    if o.base_temperature then losses = losses * (o.temperature / o.base_temperature) end
    return { c.element(losses, c:rows()) }
  end,
}
