--- view.lua - how far a sweep is: one block on a terminal, plain lines elsewhere
--
--     losses: tuning, 31 of 90 runs, 2 running, 14:20 left
--     variant      tuned  final  running  pruned  failed   best val/map@r
--     triplet        4/6    0/3        1       1       -           0.8312
--
-- On a terminal the block is drawn anew at most four times a second. Elsewhere there is one line
-- for each trial that is over. `--progress bar|plain|none` decides instead of the terminal.
local crun = require "crun"
local progress = require "crun.progress"
local ui = require "crun.ui"
local cio = crun.io

local M = {}
local View = {}
View.__index = View

local REDRAW_SECONDS <const> = 0.25

function M.new(sweep, plan, coordinator)
  local self = setmetatable({ sweep = sweep, plan = plan, coordinator = coordinator,
    kind = progress.kind(), lines = 0,
    drawn = 0, begun = cio.monotonic(), first = 0 }, View)
  local n = sweep:count()
  self.first = n.all - n.left
  return self
end

local function short(score) return score and ("%.4f"):format(score) or "-" end

-- the best score of a variant so far, among trials that got to their end: those of the tuning,
-- which are alike
local function best_of(sweep, plan, variant)
  local best, phase = nil, plan.tune and "tune" or "final"
  for _, trial in ipairs(sweep.trials) do
    if trial.variant == variant and trial.phase == phase and trial.score and
       trial.state == "done" and
       (not best or plan.metric.goal == "max" and trial.score > best or
         plan.metric.goal == "min" and trial.score < best) then
      best = trial.score
    end
  end
  return best
end

--- One row a variant: what the view and `crun sweep status` show.
function M.table(sweep, plan)
  local columns = { "variant", "tuned", "final", "running", "pruned", "failed", "diverged",
    "best " .. plan.metric.name }
  local rows = {}
  for i, variant in ipairs(plan.variants) do
    local name = variant.name
    local t, f, all = sweep:count("tune", name), sweep:count("final", name), sweep:count(nil, name)
    local function some(n) return n > 0 and tostring(n) or "-" end
    rows[i] = { name, t.all > 0 and ("%d/%d"):format(t.all - t.left, t.all) or "-",
      f.all > 0 and ("%d/%d"):format(f.all - f.left, f.all) or "-", some(all.running),
        some(all.pruned), some(all.failed),
      some(all.diverged), short(best_of(sweep, plan, name)) }
  end
  return columns, rows
end

local function aligned(columns, rows, width)
  local widths, lines = {}, {}
  for k, name in ipairs(columns) do
    widths[k] = ui.width(name)
    for _, row in ipairs(rows) do widths[k] = math.max(widths[k], ui.width(row[k])) end
  end
  for i = 0, #rows do
    local cells = {}
    for k, cell in ipairs(rows[i] or columns) do
      cells[k] = k == 1 and ui.pad_right(cell, widths[k]) or ui.pad_left(cell, widths[k])
    end
    lines[#lines + 1] = ui.cut(table.concat(cells, "  "), width)
  end
  return lines
end

M.aligned = aligned

--- Seconds that the rest will take, from how long this process took for what it has done; nil: not
-- known yet.
function View:seconds_left()
  local n = self.sweep:count()
  local done = n.all - n.left - self.first
  if done <= 0 then return nil end
  return (cio.monotonic() - self.begun) / done * n.left
end

function View:headline()
  local n, left = self.sweep:count(), self:seconds_left()
  return ("%s: %s, %d of %d runs, %d running%s"):format(self.sweep.name, self.sweep.record.state,
    n.all - n.left, n.all,
    n.running, left and n.left > 0 and (", %s left"):format(ui.duration(left)) or "")
end

function View:clear()
  if self.lines > 0 then io.stderr:write(("\27[%dA\r\27[J"):format(self.lines)) end
  self.lines = 0
end

--- Called often; draws when it is time to.
function View:draw(now)
  if self.kind ~= "bar" then return end
  local time = cio.monotonic()
  if not now and time - self.drawn < REDRAW_SECONDS then return end
  self.drawn = time
  local width = ui.columns(2) - 1
  local lines = aligned(select(1, M.table(self.sweep, self.plan)), select(2, M.table(self.sweep,
    self.plan)), width)
  table.insert(lines, 1, ui.cut(self:headline(), width))
  self:clear()
  io.stderr:write(table.concat(lines, "\n"), "\n")
  io.stderr:flush()
  self.lines = #lines
end

--- One line of talk.
function View:say(text)
  if self.kind == "none" then return end
  self:clear()
  io.stderr:write(text, "\n")
  io.stderr:flush()
end

--- A trial is in another state.
function View:settled(trial)
  local loud = trial.state == "failed" or trial.state == "diverged"
  if self.kind == "bar" and not loud then return end
  local n, left = self.sweep:count(), self:seconds_left()
  local place = trial.phase == "tune" and ("tune %d"):format(trial.round) or
    ("final seed %d%s"):format(trial.seed, trial.fold and (" fold %d"):format(trial.fold) or "")
  local what = trial.state == "done" and ("%s %s"):format(self.plan.metric.name,
    short(trial.score)) or
    trial.state .. (trial.reason and ": " .. trial.reason or "")
  if trial.state == "queued" then what = "its process is gone; it goes on from its checkpoint" end
  if trial.state == "waiting" then what = ("waits after epoch %d, %s"):format(trial.epoch or 0,
     short(trial.score)) end
  self:say(("%d/%d  %s  %s  %s%s"):format(n.all - n.left, n.all, trial.variant, place, what,
    left and n.left > 0 and ("  (%s left)"):format(ui.duration(left)) or ""))
end

--- The last block stays.
function View:close()
  self:draw(true)
  self.lines = 0
end

return M
