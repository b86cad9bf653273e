--- A loss on prefixes of the embedding, so that its first d numbers alone are an embedding too.
--
--     crun.losses.matryoshka { loss = criterion, dims = { 8, 16, 32, 64 }, weights = { 1, 1, 1, 1 }
--     }
--
--   sum_k weights_k loss(z[:, 1 .. dims_k])
--
-- loss: one criterion for all prefixes, or a list with one for each (losses that own weights of a
-- width). Normalisation is the loss's own, so each prefix is normalised by itself.
-- criterion.values: the losses of the last call. Kusupati and others, "Matryoshka representation
-- learning", NeurIPS 2022, eq. 1.
local crun = require "crun"
local options = require "crun.options"
local wrapper = require "crun.loss.wrapper"

local function make(self, o)
  local many = options.kind(o.loss) == "table"
  self._children, self._one = many and o.loss or { o.loss }, not many
  self.dims, self.weights = o.dims, o.weights
  if #o.dims == 0 then crun.fail(self._where, "dims must be a list of widths, got none") end
  if many and #o.loss ~= #o.dims then
    crun.fail(self._where, ("give one loss, or %d, one for each width; got %d")
      :format(#o.dims, #o.loss))
  end
  if o.weights and #o.weights ~= #o.dims then
    crun.fail(self._where, ("weights must be %d numbers, one for each width, got %d")
      :format(#o.dims, #o.weights))
  end
end

local function forward(self, z, ...)
  local total
  self.values = {}
  for k, width in ipairs(self.dims) do
    if width > z:size(2) or width < 1 then
      crun.fail(self._where, ("a width must be in 1..%d, that of the embeddings, got %d")
        :format(z:size(2), width))
    end
    local loss = self._children[self._one and 1 or k](z:narrow(2, 1, width):contiguous(), ...)
    self.values[k] = loss:detach()
    if self.weights then loss = loss * self.weights[k] end
    total = total and total + loss or loss
  end
  return total
end

return wrapper.constructor("matryoshka", "a loss on prefixes of the embedding",
  { loss = "any", dims = "numbers", weights = "numbers?" }, make, forward)
