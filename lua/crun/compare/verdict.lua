--- compare/verdict.lua - in words: who wins, who ties, and why no winner may be named
local text = require("crun.compare.text")

local M = {}

local SEEDS <const> = 3                                -- fewer tell nothing

--- What speaks against naming a winner: a list of texts.
function M.reasons(found)
  local reasons = {}
  local function no(format, ...) reasons[#reasons + 1] = format:format(...) end
  local fewest, of, missing = math.huge, nil, 0
  for _, v in ipairs(found.variants) do
    if v.seeds < fewest then fewest, of = v.seeds, v.name end
    missing = missing + #v.runs - v.done
  end
  if fewest < SEEDS then
    no("%d %s of %s (%d are needed)", fewest, fewest == 1 and "seed" or "seeds", of, SEEDS)
  end
  if missing > 0 then
    no("%d final %s missing", missing, missing == 1 and "run is" or "runs are")
  end
  if found.kind == "runs" then
    no("these are loose runs: whether their settings were selected on validation data, and with " ..
      "equal budgets, is not known")
  else
    if found.state ~= "done" and missing == 0 then no("the sweep is not done") end
    local metric, unselected, least, most = found.metric.name, nil, math.huge, 0
    for _, v in ipairs(found.variants) do
      if not v.selected then unselected = unselected or v.name end
      least, most = math.min(least, v.tune.planned), math.max(most, v.tune.planned)
    end
    if most == 0 then no("nothing was tuned, so no setting was selected on validation data")
    elseif not metric or not metric:find "^val" then
      no("settings were not selected on validation data%s", metric and " but on " .. metric or "")
    end
    if most > 0 and unselected then no("no setting of %s was selected", unselected) end
    if most > least then no("budgets differ: %d to %d tuning trials a variant", least, most) end
    if found.unfair then
      no("%s", type(found.unfair) == "string" and found.unfair or "the sweep counts as unfair")
    end
  end
  return reasons
end

local function list_words(names)
  if #names < 2 then return names[1] or "" end
  return table.concat(names, ", ", 1, #names - 1) .. " and " .. names[#names]
end

--- The verdict by the first table: { text, winner, ties, worse, fair, refused, reasons, metric }.
function M.of(found, first, allow_unfair)
  local reasons = M.reasons(found)
  local v = { metric = first.metric, reasons = reasons, fair = #reasons == 0,
    refused = #reasons > 0 and not allow_unfair, ties = {}, worse = {} }
  if not first.best then
    v.refused = true
    local how_far = found.state and found.state ~= "done" and (" yet; the sweep is %s"):format(
      found.state == "tuning" and "tuning" or found.state == "final" and "in its final runs" or
      found.state) or ""
    v.text = ("No winner is named: no run has a value of %s%s."):format(first.metric, how_far)
    return v
  end
  if v.refused then
    v.text = "No winner is named: " .. table.concat(reasons, "; ") .. "."
    return v
  end
  local rows, keys = first.rows, #first.keys
  for i = 2, #rows do
    local list = (rows[i].tie or rows[i].n == 0) and v.ties or v.worse
    list[#list + 1] = rows[i].variant
  end
  local best = rows[1]
  local score = ("%s %s%s"):format(first.metric, text(best.mean), best.half and " ± " ..
    text(best.half) or "")
  local unit = found.final.folds and found.final.folds > 1 and "pairs of seed and fold" or
    "seeds"
  if #rows == 1 then
    v.text = ("%s has %s; there is nothing to compare it with."):format(best.variant, score)
  elseif #v.ties == 0 then
    v.winner = best.variant
    local p = 0
    for i = 2, #rows do p = math.max(p, rows[i].p) end
    v.text = ("%s wins with %s, %s better than %s; every other is worse (p %s after Holm's " ..
      "correction, %d %s)."):format(best.variant, score, text(math.abs(rows[2].difference)),
      rows[2].variant, p < 0.0005 and "< 0.0005" or ("<= %.3f"):format(p), keys, unit)
  else
    v.text = ("No single winner: %s leads with %s, but %s %s not told apart from it by %d %s%s.")
      :format(best.variant, score, list_words(v.ties), #v.ties == 1 and "is" or "are", keys, unit,
        #v.worse > 0 and ("; %s %s worse"):format(list_words(v.worse), #v.worse == 1 and "is" or
          "are") or "")
  end
  if #reasons > 0 then
    v.text = "NOT A FAIR COMPARISON (" .. table.concat(reasons, "; ") .. "). " .. v.text
  end
  return v
end

return M
