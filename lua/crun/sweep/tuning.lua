--- tuning.lua - one variant's tuning: which trials run next, which are pruned, which setting is
-- selected
--
-- A variant's trials come in batches: all at once, or, where a model searches, a few at a time,
-- each batch asked for when the one before it is in and told. Within a batch poor trials are
-- stopped early by successive halving (Li et al., "A system for massively parallel hyperparameter
-- tuning", MLSys 2020, in its synchronous form): all run `min` epochs, the best one in `factor`
-- goes on for factor times as many, and so on; the last one left runs to its end.
--
-- Decisions are taken only when every trial of a rung, and every trial of a batch, is in. They are
-- functions of the scores by trial number, never of who was first; so a sweep that was killed and
-- resumed, or runs more trials at once, decides the same.
local space = require "crun.search.space"

local M = {}
local Tuning = {}
Tuning.__index = Tuning

--- plan, a variant of it, and the sweep's store.
function M.new(plan, variant, sweep)
  local self = setmetatable({ plan = plan, variant = variant, sweep = sweep, batches = {}, at = 1,
    search = plan:search(variant) }, Tuning)
  for _, trial in ipairs(sweep.trials) do
    if trial.phase == "tune" and trial.variant == variant.name then
      local batch = self.batches[trial.batch] or {}
      self.batches[trial.batch] = batch
      batch[#batch + 1] = trial
    end
  end
  return self
end

-- How many epochs a trial may run at its rung, or nil: to its end.
function Tuning:limit(trial)
  local prune = self.plan.tune.prune
  if not prune or not trial.rung or trial.rung < 0 then return nil end
  return prune.min * prune.factor ^ trial.rung // 1 | 0
end

local function better(goal, a, b)
  if a.score ~= b.score then
    if a.score == nil or b.score == nil then return a.score ~= nil end
    if goal == "max" then return a.score > b.score end
    return a.score < b.score
  end
  return a.trial < b.trial
end

-- The settings of a batch are asked for, in the order of its trials.
function Tuning:open(batch)
  for _, trial in ipairs(batch) do
    local settings = self.search:ask()
    trial.asked = settings
    trial.settings = trial.settings or settings
  end
  batch.open = true
end

-- All of a rung are in: the best go on, the others are pruned.
function Tuning:decide(batch)
  local goal, factor = self.plan.metric.goal, self.plan.tune.prune.factor
  local rung = math.huge
  for _, trial in ipairs(batch) do
    if trial.state == "waiting" then rung = math.min(rung, trial.rung) end
  end
  local entered, ranked = 0, {}
  for _, trial in ipairs(batch) do
    if trial.rung == rung then
      entered = entered + 1
      if trial.state == "waiting" or trial.state == "done" then ranked[#ranked + 1] = trial end
    end
  end
  table.sort(ranked, function(a, b) return better(goal, a, b) end)
  local keep = math.max(1, entered // factor)
  for place, trial in ipairs(ranked) do
    if trial.state == "waiting" then
      if place > keep then
        self.sweep:change(trial, "pruned", { score = trial.score, epoch = trial.epoch, rung = rung,
          reason = ("place %d of %d after epoch %d"):format(place, entered, self:limit(trial)) })
      else
        self.sweep:change(trial, "queued", { rung = keep == 1 and -1 or rung + 1 })
      end
    end
  end
end

--- Goes on as far as the results allow. Returns the trials that wait to be started, by number; none
-- and true: the tuning of this variant is over.
function Tuning:step()
  local prune = self.plan.tune.prune
  while self.batches[self.at] do
    local batch = self.batches[self.at]
    if not batch.open then self:open(batch) end
    local ready, busy, waiting = {}, false, false
    for _, trial in ipairs(batch) do
      if prune and not trial.rung then trial.rung = #batch > 1 and 0 or -1 end
      if trial.state == nil or trial.state == "queued" or
         trial.state == "killed" then ready[#ready + 1] = trial
      elseif trial.state == "running" then busy = true
      elseif trial.state == "waiting" then waiting = true end
    end
    if #ready > 0 or busy then return ready, false end
    if waiting then self:decide(batch)
    else
      for _, trial in ipairs(batch) do self.search:tell(trial.asked, trial.score) end
      self.at = self.at + 1
    end
  end
  return {}, true
end

--- What is selected: { trial, score, settings, edges }, or nil when no trial got to its end.
function Tuning:selected()
  local best
  for _, trial in ipairs(self.sweep.trials) do
    if trial.phase == "tune" and trial.variant == self.variant.name and trial.state == "done" and
       trial.score and
       (not best or better(self.plan.metric.goal, trial, best)) then
      best = trial
    end
  end
  if not best then return end
  return { trial = best.trial, score = best.score, settings = best.settings,
    edges = space.edges(self.variant.entries, best.settings) }
end


return M
