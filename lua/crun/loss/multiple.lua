--- A weighted sum of losses.
--
--     crun.losses.multiple { losses = { a, b }, weights = { 1, 0.5 }, miners = { false, m } }
--
-- losses: a list of criteria, all called alike. weights: as many numbers, 1 when left out. miners:
-- for each loss a miner that picks its tuples, or false. criterion.values holds the losses of the
-- last call, without weights, detached. As MultipleLosses of pytorch-metric-learning.
local crun = require "crun"
local wrapper = require "crun.loss.wrapper"

local function make(self, o)
  self._children, self.weights, self._miners = o.losses, o.weights, o.miners or {}
  if #o.losses == 0 then crun.fail(self._where, "losses must be a list of criteria, got none") end
  if o.weights and #o.weights ~= #o.losses then
    crun.fail(self._where, ("weights must be %d numbers, one for each loss, got %d")
      :format(#o.losses, #o.weights))
  end
end

local function forward(self, z, labels, ...)
  local total
  self.values = {}
  for i, criterion in ipairs(self._children) do
    local loss
    local miner = self._miners[i]
    if miner then
      loss = criterion(z, labels, { miner(z, labels) })
    else
      loss = criterion(z, labels, ...)
    end
    self.values[i] = loss:detach()
    if self.weights then loss = loss * self.weights[i] end
    total = total and total + loss or loss
  end
  return total
end

return wrapper.constructor("multiple", "a weighted sum of losses",
  { losses = "table", weights = "numbers?", miners = "table?" }, make, forward)
