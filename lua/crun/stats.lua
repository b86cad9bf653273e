--- stats.lua - is it noise? Intervals of means, paired tests, corrections for many tests
--
--     stats.mean { 0.81, 0.83, 0.80 }              --> { n, mean, sd, half, low, high }
--     stats.paired({ 0.81, 0.83 }, { 0.79, 0.80 }) --> { n, mean, half, low, high, t, p }
--     stats.holm { 0.01, 0.04, 0.03 }              --> { 0.03, 0.06, 0.06 }
--
-- Student's t is computed here, from the incomplete beta function by its continued fraction
-- (Press et al., "Numerical Recipes", section 6.4; Lentz 1976). Sums run in the order of the list,
-- so equal lists give equal bits.
--
-- @module crun.stats
local crun = require "crun"
local options = require "crun.options"

local M = {}

-- ---- Student's t --------------------------------------------------------------------------------

-- log Gamma(x), x > 0: Lanczos, g = 7, 9 terms, relative error near 1e-15
local LANCZOS <const> = { 0.99999999999980993, 676.5203681218851, -1259.1392167224028,
  771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012,
  9.9843695780195716e-6, 1.5056327351493116e-7 }

local function log_gamma(x)
  local sum, t = LANCZOS[1], x + 6.5
  for i = 2, 9 do sum = sum + LANCZOS[i] / (x + i - 2) end
  return 0.5 * math.log(2 * math.pi) + (x - 0.5) * math.log(t) - t + math.log(sum)
end

-- The continued fraction of I_x(a, b); it converges fast where x < (a + 1) / (a + b + 2).
local function beta_fraction(a, b, x)
  local tiny <const> = 1e-300
  local function not_zero(v) return math.abs(v) < tiny and tiny or v end
  local c, d = 1, 1 / not_zero(1 - (a + b) * x / (a + 1))
  local h = d
  for m = 1, 1000 do
    local even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
    d, c = 1 / not_zero(1 + even * d), not_zero(1 + even / c)
    h = h * d * c
    local odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    d, c = 1 / not_zero(1 + odd * d), not_zero(1 + odd / c)
    h = h * d * c
    if math.abs(d * c - 1) < 1e-16 then break end
  end
  return h
end

--- The regularised incomplete beta function I_x(a, b), for 0 <= x <= 1. y: 1 - x, where it is known
-- without a loss of digits.
function M.beta(x, a, b, y)
  y = y or 1 - x
  if x <= 0 then return 0.0 end
  if y <= 0 then return 1.0 end
  local front = math.exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * math.log(x) +
    b * math.log(y))
  if x < (a + 1) / (a + b + 2) then return front * beta_fraction(a, b, x) / a end
  return 1 - front * beta_fraction(b, a, y) / b
end

--- The two-sided p of a t with df degrees of freedom: how often |T| is at least |t| by chance.
function M.p_of_t(t, df)
  if t ~= t then return 0 / 0 end
  if math.abs(t) == math.huge then return 0.0 end
  local s = df + t * t
  return M.beta(df / s, df / 2, 0.5, t * t / s)
end

local quantiles = {}                                  -- the same few are asked for again and again

--- The t that |T| exceeds with probability 1 - level: 12.706 for df = 1 and level 0.95.
function M.t_quantile(level, df)
  local key = level .. "/" .. df
  if quantiles[key] then return quantiles[key] end
  local p, low, high = 1 - level, 0.0, 1.0
  while M.p_of_t(high, df) > p do low, high = high, high * 2 end
  for _ = 1, 200 do
    local middle = 0.5 * (low + high)
    if middle == low or middle == high then break end
    if M.p_of_t(middle, df) > p then low = middle else high = middle end
  end
  quantiles[key] = 0.5 * (low + high)
  return quantiles[key]
end

-- ---- means and differences ----------------------------------------------------------------------

-- Numbers of a list; one that is not finite makes the mean and all that follows from it NaN.
local function check_numbers(where, what, values)
  options.check_value(where, what, values, "numbers")
  if #values == 0 then crun.fail(where, what .. " is empty") end
end

local function moments(values)
  local n, sum = #values, 0.0
  for _, v in ipairs(values) do sum = sum + v end
  local mean, squares = sum / n, 0.0
  for _, v in ipairs(values) do squares = squares + (v - mean) ^ 2 end
  return n, mean, n > 1 and math.sqrt(squares / (n - 1)) or nil
end

--- The mean of a list with the interval of Student's t around it, at `level` (0.95).
-- Returns { n, mean, sd, half, low, high }; of a single value there is no sd, half, low and high.
function M.mean(values, level)
  check_numbers("stats.mean", "values", values)
  local n, mean, sd = moments(values)
  local result = { n = n, mean = mean, sd = sd }
  if sd then
    result.half = M.t_quantile(level or 0.95, n - 1) * sd / math.sqrt(n)
    result.low, result.high = mean - result.half, mean + result.half
  end
  return result
end

--- The paired t test of two lists of equal length: the mean of a[i] - b[i] with its interval, and
-- how often a mean so far from 0 comes by chance (two-sided p).
-- Returns { n, mean, sd, half, low, high, t, p, df }. Differences that are all alike have an
-- interval of width 0, and p is that of their n equal signs, 2^(1-n), or 1 when they are all 0. A single pair has neither interval nor p.
function M.paired(a, b, level)
  local where = "stats.paired"
  check_numbers(where, "the first list", a)
  check_numbers(where, "the second list", b)
  if #a ~= #b then
    crun.fail(where, ("pairs need lists of one length, got %d and %d"):format(#a, #b))
  end
  local differences = {}
  for i = 1, #a do differences[i] = a[i] - b[i] end
  local result = M.mean(differences, level)
  if result.n == 1 then return result end
  -- differences that are alike but for rounding have no spread of their own
  local largest = 0
  for i = 1, #a do largest = math.max(largest, math.abs(a[i]), math.abs(b[i])) end
  if result.sd <= 4 * 2.3e-16 * largest then
    result.sd, result.half, result.low, result.high = 0.0, 0.0, result.mean, result.mean
  end
  result.df = result.n - 1
  if result.sd == 0 then
    local none = math.abs(result.mean) <= 4 * 2.3e-16 * largest
    -- equal differences (a score that moves in steps) say nothing of the spread: p is that of the
    -- signs alone
    result.t, result.p = none and 0.0 or result.mean > 0 and math.huge or -math.huge,
      none and 1.0 or 2.0 ^ (1 - result.n)
  else
    result.t = result.mean / (result.sd / math.sqrt(result.n))
    result.p = M.p_of_t(result.t, result.df)
  end
  return result
end

-- ---- many tests ---------------------------------------------------------------------------------

--- Holm's step-down correction: the p values of tests made together, so that the chance of any
-- false alarm among them stays below the level that the corrected p is compared with.
-- Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 1979.
function M.holm(p)
  options.check_value("stats.holm", "p", p, "numbers")
  local order, corrected, most = {}, {}, 0
  for i = 1, #p do order[i] = i end
  table.sort(order, function(a, b)
    if p[a] ~= p[b] then return p[a] < p[b] end
    return a < b
  end)
  for rank, i in ipairs(order) do
    most = math.max(most, math.min(1, (#p - rank + 1) * p[i]))
    corrected[i] = most
  end
  return corrected
end

--- A percentile interval by resampling, for what is no mean: `statistic` is a function of a list
-- (the median by default). opts: level (0.95), draws (2000), seed (1). Returns { value, low, high,
-- n }. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979. With
-- fewer than about 20 values its intervals are too narrow.
function M.bootstrap(values, statistic, opts)
  local where = "stats.bootstrap"
  check_numbers(where, "values", values)
  local o = options.check(where, opts, { level = { "number", 0.95, above = 0, most = 0.9999 },
    draws = { "count", 2000 }, seed = { "integer", 1, least = 0 } })
  statistic = statistic or M.median
  local n, found = #values, {}
  local rng = crun.rng(o.seed, "bootstrap")
  for draw = 1, o.draws do
    local rows, sample = crun.randint(rng, n, n):totable(), {}
    for i = 1, n do sample[i] = values[rows[i]] end
    found[draw] = statistic(sample)
  end
  table.sort(found)
  local function at(share) return M.quantile_of_sorted(found, share) end
  return { n = n, value = statistic(values), low = at((1 - o.level) / 2),
    high = at((1 + o.level) / 2) }
end

--- The value below which `share` of a sorted list lies, straight lines between its members.
function M.quantile_of_sorted(sorted, share)
  local place = 1 + share * (#sorted - 1)
  local below = math.floor(place)
  local value = sorted[below]
  if below >= #sorted then return value end
  return value + (place - below) * (sorted[below + 1] - value)
end

function M.median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  return M.quantile_of_sorted(sorted, 0.5)
end

return M
