--- search.lua - settings to try next: ask, train, tell
--
--     local search = crun.search.model { space = { lr = { log_uniform = { 1e-4, 1e-2 } } }, seed = 1 }
--     for _ = 1, 20 do
--       local settings = search:ask()
--       search:tell(settings, score_of(settings))             -- nil: it failed
--     end
--     print(search:best())
--
-- random  draws from the ranges, evenly: a low-discrepancy sequence from a random start, so that few
--         trials do not crowd (Bergstra, Bengio, JMLR 2012; the sequence is Roberts' R_d, 2018:
--         u_k,i = frac(start_i + k phi^-i), phi^(d+1) = phi + 1)
-- grid    every combination of choices and whole numbers (and `points` (5) places of other ranges),
-- in an order
--         drawn from seed; after the last one it begins again
-- model   the tree-structured Parzen estimator: see search/model.lua
--
-- All take space (search/space.lua), seed (1) and goal ("max" or "min"). What ask() gives is a
-- function of the seed, of how often it was asked and of what was told, in the order in which it
-- was asked: a search that is asked for several settings at once, and told their scores in any
-- order, goes the same way.
--
-- @module crun.search
local crun = require "crun"
local options = require "crun.options"
local space = require "crun.search.space"

local M = {}
local Search = { __name = "crun.search" }
Search.__index = Search

local SPEC <const> = { space = "table", seed = { "integer", 1, least = 0 },
  goal = { "string", "max", choices = { "max", "min" } }, points = { "count", 5 },
  start = { "count", 6 }, name = { "string", "" } }

local function new(where, propose, opts)
  local o = options.check(where, opts, SPEC)
  local self = setmetatable({ where = where, propose = propose, seed = o.seed, goal = o.goal,
    points = o.points,
    start = o.start, name = o.name, entries = space.check(where, o.space), asked = {}, open = {} },
      Search)
  self.free = {}                                 -- the options there is something to choose for
  for _, entry in ipairs(self.entries) do
    if entry.kind ~= "fixed" then self.free[#self.free + 1] = entry end
  end
  return self
end

--- n numbers in [0, 1) for the k-th question: a function of seed, name, k and what they are for.
function Search:numbers(k, what, n)
  if n == 0 then return {} end
  return crun.rand(crun.rng(self.seed, ("search/%s/%s/%d"):format(self.name, what, k)), n):totable()
end

--- Settings to try: a table, name -> value, new each time.
function Search:ask()
  local k = #self.asked + 1
  local places = self:propose(k)
  local settings = space.settings(self.entries, places)
  self.asked[k] = { settings = settings, places = places }
  self.open[settings] = self.asked[k]
  return settings
end

--- The score of settings that ask() gave; nil or NaN: there is none, they failed.
function Search:tell(settings, score)
  local trial = self.open[settings]
  if not trial then crun.fail(self.where .. ":tell",
     "these settings were not asked for, or were told already") end
  if score ~= nil then options.check_value(self.where .. ":tell", "the score", score == score and
     score or nil, "number?") end
  self.open[settings] = nil
  trial.told = true
  trial.score = score == score and score or nil
  return self
end

-- a is better than b; no score is worse than any
function Search:better(a, b)
  if b == nil then return a ~= nil end
  if a == nil then return false end
  if self.goal == "max" then return a > b end
  return a < b
end

--- The settings with the best score so far (of equal ones the first), and the score.
function Search:best()
  local best
  for _, trial in ipairs(self.asked) do
    if trial.told and trial.score and (not best or self:better(trial.score,
       best.score)) then best = trial end
  end
  if best then return best.settings, best.score end
end

-- ---- random and grid ----------------------------------------------------------------------------

-- The number phi above 1 with phi^(d+1) = phi + 1: the golden ratio for d = 1.
local function golden(d)
  local phi = 2.0
  for _ = 1, 60 do phi = (1 + phi) ^ (1 / (d + 1)) end
  return phi
end

local function random_places(self, k)
  local d = #self.free
  local places, shift = {}, self:numbers(0, "random", d)
  local phi = golden(d)
  for i, entry in ipairs(self.free) do places[entry.name] = (shift[i] + k * phi ^ -i) % 1 end
  return places
end

local function cells(self, entry)
  if entry.kind == "choice" then return #entry.list end
  if entry.kind == "int" then return entry.high - entry.low + 1 end
  return self.points
end

--- How many points the grid has.
function Search:size()
  local n = 1
  for _, entry in ipairs(self.free) do n = n * cells(self, entry) end
  return n
end

local GRID_LIMIT <const> = 1000000

local function grid_places(self, k)
  if not self.order then
    local n = self:size()
    if n > GRID_LIMIT then crun.fail(self.where,
       ("a grid of %.0f points; search at random instead"):format(n)) end
    self.order = crun.randperm(crun.rng(self.seed, "search/" .. self.name .. "/grid"), n):totable()
  end
  local point = self.order[(k - 1) % #self.order + 1] - 1
  local places = {}
  for _, entry in ipairs(self.free) do
    local n = cells(self, entry)
    local i = point % n
    point = point // n
    local line = entry.kind == "uniform" or entry.kind == "log_uniform"
    places[entry.name] = line and (n > 1 and i / (n - 1) or 0.5) or (i + 0.5) / n
  end
  return places
end

function M.random(opts) return new("search.random", random_places, opts) end
function M.grid(opts) return new("search.grid", grid_places, opts) end

--- start (6): how many settings are drawn at random before the model begins.
function M.model(opts)
  local propose = require("crun.search.model").propose
  return new("search.model", function(self, k)
    local told = 0
    for _, trial in ipairs(self.asked) do told = told + (trial.told and 1 or 0) end
    if #self.asked < self.start or told == 0 or #self.free == 0 then return random_places(self,
       k) end
    return propose(self, k)
  end, opts)
end

M.methods = { random = M.random, grid = M.grid, model = M.model }

return M
