--- A loss over labels for two views without labels: row i of one belongs to row i of the other.
--
--     local criterion = crun.losses.self_supervised { loss = crun.losses.ntxent {} }
--     local loss = criterion(z1, z2)
--
-- symmetric = true (the default): both views are one batch of 2 B rows; false: z1 are queries
-- against z2.
local crun = require "crun"
local wrapper = require "crun.loss.wrapper"

local function make(self, o) self._children, self.symmetric = { o.loss }, o.symmetric end

local function forward(self, z1, z2)
  if #z1 ~= #z2 then
    crun.fail(self._where, ("both views must have the same rows, got %d and %d"):format(#z1, #z2))
  end
  local criterion, labels = self._children[1], crun.arange(1, #z1)
  if self.symmetric then return criterion(crun.cat { z1, z2 }, crun.cat { labels, labels }) end
  return criterion(z1, labels, z2, labels)
end

return wrapper.constructor("self_supervised", "a loss over labels for two views without labels",
  { loss = "any", symmetric = { "boolean", true } }, make, forward)
