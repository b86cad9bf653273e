--- Histogram loss, composed: the probability that a random negative pair is more similar than a
-- random positive one, from histograms of similarities with soft bins.
--
--   sum_r h-_r sum_{q <= r} h+_q        bins of width delta = 2 / bins over [-1, 1]
--
-- Each similarity adds to its two nearest bins, linearly. A pair counts once, whatever its order,
-- and only when an anchor of it has positives and negatives. Ustinova, Lempitsky, NIPS 2016, eq. 3
-- to 6.
local crun = require "crun"

-- the similarities of the different pairs among (rows, others)
local function of_different(c, rows, others)
  local key = crun.minimum(rows, others) * (c.B + 1) + crun.maximum(rows, others)
  local pairs = crun.unique(key)
  local first = (pairs:real() / (c.B + 1)):floor():int()
  return c:at(first, pairs - first * (c.B + 1))
end

local function density(s, bins, delta)
  local place = (s + 1) / delta
  local low = place:detach():floor():clamp { min = 0, max = bins - 1 }
  local share = place - low
  local index = low:int() + 1
  local h = crun.zeros(bins + 1):scatter_add(index, 1 - share):scatter_add(index + 1, share)
  return h / s:numel()
end

return {
  name = "histogram", distance = "cosine", similarity = true, reducer = "mean",
  options = { bins = "count?", delta = "number?" },
  forward = function(o, c)
    c:no_weights()
    c:whole_batch_only()
    local a, p, n = c:triplets()
    if #a == 0 then return {} end
    local bins = o.bins or (o.delta and math.floor(2 / o.delta + 0.5)) or 100
    if o.bins and o.delta and math.abs(o.delta - 2 / o.bins) > 1e-9 then
      crun.fail(c.where, ("delta must be 2 / bins = %g, got %g; give one of them")
        :format(2 / bins, o.delta))
    end
    local positive = density(of_different(c, a, p), bins, 2 / bins)
    local negative = density(of_different(c, a, n), bins, 2 / bins)
    return { c.reduced((negative * positive:cumsum(1)):sum()) }
  end,
}
