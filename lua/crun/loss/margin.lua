--- Margin loss, composed: runtime/losses/margin.c has the formula.
--
-- Beside margin, beta and nu: learn_beta = true makes beta a parameter, of one number, or of one
-- for each of classes = C (labels 1 .. C). beta may also be a tensor of one's own.
local crun = require "crun"
local options = require "crun.options"

local function beta_of(self, o)
  if self._parameters.beta then return self._parameters.beta end
  return options.kind(o.beta) == "tensor" and o.beta or nil
end

return {
  name = "margin", distance = "euclidean", reducer = "divisor",
  options = {
    margin = { "number", 0.2 }, beta = { "any", 1.2 }, nu = { "number", 0, least = 0 },
    learn_beta = { "boolean", false }, classes = "count?",
  },
  init = function(self)
    if not self.learn_beta and not self.classes then return end
    local start = self.beta
    if options.kind(start) == "tensor" then start = start:detach():clone()
    else start = crun.full({ self.classes or 1 }, start) end
    if self.learn_beta then self._parameters.beta = crun.nn.parameter(start)
    else self._set.beta = start end
  end,
  -- the fused loss takes a tensor beta as its fifth input
  call = function(self, z, labels, references, reference_labels, beta)
    return self._native(z, labels, references, reference_labels, beta or beta_of(self, self))
  end,
  forward = function(o, c, beta)
    local a, p, n, weight = c:triplets()
    if #a == 0 then return {} end
    local d = c.distance
    beta = beta or beta_of(c.criterion, o) or c:margin(o.beta, a)
    local by_class = options.kind(beta) == "tensor" and beta:numel() > 1 and not c.relation.margins
    local whole = beta
    if by_class then
      local labels = c:labels():index_select(a)
      beta = beta:index_select(labels)
    end
    local positive = (d:margin(c:at(a, p), beta) + o.margin):relu()
    local negative = (d:margin(beta, c:at(a, n)) + o.margin):relu()
    local divisor = positive:gt(0):sum():item() + negative:gt(0):sum():item()
    local part = c.triplet(positive + negative, a, weight, "margin_loss")
    part.divisor = divisor
    if o.nu == 0 then return { part } end
    if by_class then
      local price = c.element(beta * o.nu, a, "beta_reg_loss")
      price.divisor = divisor
      return { part, price }
    end
    local price = options.kind(whole) == "tensor" and whole * o.nu or crun.scalar(whole * o.nu)
    return { part, c.reduced(price:sum(), "beta_reg_loss") }
  end,
}
