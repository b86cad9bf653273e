--- compare/warnings.lua - what a reader of a comparison must know besides: edges, failures,
-- collapse
local folder = require "crun.compare.folder"
local options = require "crun.options"

local M = {}

local function range_words(variant, option)
  local low, high
  for _, trial in ipairs(variant.tune.trials) do
    local x = trial.settings and trial.settings[option]
    if type(x) == "number" then
      low, high = math.min(low or x, x), math.max(high or x, x)
    end
  end
  return low and high > low and (" (tried %g to %g)"):format(low, high) or ""
end

--- Calls say(variant, kind, text) for each warning of a variant.
function M.of(variant, say)
  local t, chosen = variant.tune, variant.selected
  for _, option in ipairs(chosen and chosen.edges or {}) do
    local value = chosen.settings and chosen.settings[option]
    say(variant, "edge", ("the best %s%s lies at the edge of its range%s: widen it"):format(option,
      type(value) == "number" and (" = %g"):format(value) or value ~= nil and " = " ..
      tostring(value) or "", range_words(variant, option)))
  end
  for _, state in ipairs { "diverged", "failed", "killed", "pruned" } do
    local n = t.count[state]
    if n then
      say(variant, state, ("%d of %d tuning trials %s"):format(n, t.planned, state == "pruned" and
        "stopped early by pruning" or state))
    end
  end
  for _, run in ipairs(variant.runs) do
    if run.state == "failed" or run.state == "diverged" or run.state == "killed" then
      say(variant, run.state, ("the run of seed %s%s %s"):format(run.seed, run.fold and
        ", fold " .. run.fold or "", run.state == "killed" and "was killed" or run.state))
    end
  end
  -- embeddings that have collapsed, as run:embeddings found them
  for _, run in ipairs(variant.runs) do
    for _, key in ipairs(options.sorted_keys(run.summary)) do
      local what, value = key:match "/([^/]*)$", folder.number(run.summary[key])
      local least = what == "spread" and 1e-3 or what == "effective_rank" and 1.5
      if value and least and value < least then
        say(variant, "collapsed", ("embeddings have collapsed: %s = %.3g (seed %s)"):format(key,
          value, run.key))
      end
    end
  end
  -- health: what the runs warned of, each kind once, with the seeds it befell
  local kinds, order = {}, {}
  for _, run in ipairs(variant.runs) do
    for _, warning in ipairs(M.health_of(run)) do
      if not kinds[warning.kind] then
        kinds[warning.kind] = { text = warning.text, seeds = {} }
        order[#order + 1] = warning.kind
      end
      table.insert(kinds[warning.kind].seeds, run.key)
    end
  end
  table.sort(order)
  for _, kind in ipairs(order) do
    local k = kinds[kind]
    say(variant, "health", ("%s (%s %s)"):format(k.text, #k.seeds == 1 and "seed" or "seeds",
      table.concat(k.seeds, ", ")))
  end
end

--- What a run warned of: { kind, step, text, help }..., from its run.json, or, of a run without the
-- watch, from its log.
function M.health_of(run)
  if type(run.record.warnings) == "table" then return run.record.warnings end
  if not run.path then return {} end
  return require("crun.health").review(run.path)
end

return M
