--- model.lua - the tree-structured Parzen estimator
--
-- The told trials are cut into the best tenth (two at least) and the rest. Of each option, l is the
-- density of the best and g that of the rest; of 24 settings drawn from l, the one with the largest
-- l/g is tried. Options count as independent, as in the paper. Densities live on the places in [0,
-- 1] of search/space.lua:
--
--   a line     a mixture of normals cut to [0, 1], one on each trial, as wide as the distance to the nearer of its
--              neighbours (at least 1/(2n+2)), and the uniform density as one more of the mixture
--   a choice   how often each was taken, plus one
--
-- Settings that are asked for and not yet told count among the rest, so several can be asked for at
-- once and do not crowd. Bergstra, Bardenet, Bengio, Kegl, "Algorithms for hyper-parameter
-- optimization", NIPS 2011, section 4.
local M = {}

local CANDIDATES <const>, GOOD <const> = 24, 0.1

local function erf(x)                            -- Abramowitz and Stegun 7.1.26, |error| < 1.5e-7
  local t = 1 / (1 + 0.3275911 * math.abs(x))
  local y = 1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t *
    math.exp(-x * x)
  return x < 0 and -y or y
end

local function normal_below(x) return 0.5 * (1 + erf(x / math.sqrt(2))) end

-- A density on [0, 1]: draw(u1, u2) gives a place, density(x) its height.
local function line_density(points)
  table.sort(points)
  local n, parts = #points, {}
  for i, mean in ipairs(points) do
    local left, right = mean - (points[i - 1] or 0), (points[i + 1] or 1) - mean
    local width = math.max(math.min(left, right), 0.5 / (n + 1))
    parts[i] = { mean = mean, width = width,
      low = normal_below(-mean / width), high = normal_below((1 - mean) / width) }
  end
  local function density(x)
    local sum = 1                                 -- the uniform part
    for _, p in ipairs(parts) do
      local z = (x - p.mean) / p.width
      sum = sum + math.exp(-0.5 * z * z) / (p.width * math.sqrt(2 * math.pi) * (p.high - p.low))
    end
    return sum / (n + 1)
  end
  local function draw(u1, u2)
    local part = parts[1 + math.floor(u1 * (n + 1))]
    if not part then return u2 end
    local wanted = part.low + u2 * (part.high - part.low)    -- invert by bisection
    local low, high = 0, 1
    for _ = 1, 40 do
      local middle = 0.5 * (low + high)
      if normal_below((middle - part.mean) / part.width) < wanted then low = middle else high =
         middle end
    end
    return 0.5 * (low + high)
  end
  return density, draw
end

local function choice_density(points, n)
  local share = {}
  for i = 1, n do share[i] = 1 end
  for _, u in ipairs(points) do
    local i = math.min(n, 1 + math.floor(u * n))
    share[i] = share[i] + 1
  end
  local total = #points + n
  local function density(u) return share[math.min(n, 1 + math.floor(u * n))] / total end
  local function draw(u)
    local left = u * total
    for i = 1, n do
      left = left - share[i]
      if left < 0 or i == n then return (i - 0.5) / n end
    end
  end
  return density, draw
end

local function density_of(entry, trials)
  local points = {}
  for i, trial in ipairs(trials) do points[i] = trial.places[entry.name] end
  if entry.kind == "choice" then return choice_density(points, #entry.list) end
  return line_density(points)
end

--- The places of the k-th question of a search.
function M.propose(self, k)
  local told, rest = {}, {}
  for i, trial in ipairs(self.asked) do
    if trial.told and trial.score then told[#told + 1] = { trial = trial, at = i }
    else rest[#rest + 1] = trial end              -- failed, or not yet told
  end
  table.sort(told, function(a, b)
    if a.trial.score ~= b.trial.score then return self:better(a.trial.score, b.trial.score) end
    return a.at < b.at
  end)
  local good, n = {}, math.max(2, math.ceil(GOOD * #told))
  for i, one in ipairs(told) do
    if i <= n then good[#good + 1] = one.trial else rest[#rest + 1] = one.trial end
  end

  local places = {}
  for _, entry in ipairs(self.free) do
    local l, draw = density_of(entry, good)
    local g = density_of(entry, rest)
    local u = self:numbers(k, "model/" .. entry.name, 2 * CANDIDATES)
    local best
    for c = 1, CANDIDATES do
      local x = draw(u[2 * c - 1], u[2 * c])
      local ratio = l(x) / g(x)
      if not best or ratio > best then best, places[entry.name] = ratio, x end
    end
  end
  return places
end

return M
