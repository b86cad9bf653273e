--- crun db rebuild|check: the index of the runs, crun.db in --out
--
-- rebuild makes it anew from the run folders. check compares it with one made anew in memory, and
-- the database with itself; exit code 6 when something is wrong.
local crun = require "crun"
local cli = require "crun.cli"
local index = require "crun.index"
local runs = require "crun.runs"
local cio = crun.io

local EFAILED <const> = 6

local function summary(idx)
  local n = #idx.db:query "SELECT id FROM run"
  return ("%d %s, %d values of metrics"):format(n, n == 1 and "run" or "runs", idx:count())
end

local function rebuild(out)
  local problems, why = index.rebuild(out)
  if not problems then
    io.stderr:write("crun: db: ", why, "\n")
    crun.exit(74)
  end
  for _, problem in ipairs(problems) do io.stderr:write("note: ", problem, "\n") end
  local idx <close> = index.open(out)
  print(("%s/crun.db: %s"):format(out, summary(idx)))
end

-- the first line in which two dumps differ, or nil
local function difference(a, b)
  local i, other = 0, index.dump(b)
  local found
  index.dump(a, function(line)
    i = i + 1
    if not found and line ~= other[i] then found = { line, other[i] or "nothing" } end
  end)
  return found or #other > i and { "nothing", other[i + 1] } or nil
end

local function check(out)
  local idx <close> = index.open(out)
  local bad = {}
  if idx.note then bad[1] = idx.note end
  local problems = idx:update()
  table.move(problems, 1, #problems, #bad + 1, bad)
  for _, row in ipairs(idx.db:query "PRAGMA integrity_check") do
    if row.integrity_check ~= "ok" then bad[#bad + 1] = "database: " .. row.integrity_check end
  end
  for _, run in ipairs(idx:list()) do
    if run.damaged > 0 then
      bad[#bad + 1] = ("%s/metrics.jsonl: %d damaged %s left out"):format(run.path, run.damaged,
        run.damaged == 1 and "line" or "lines")
    end
  end
  -- a run that writes meanwhile makes a difference that is none: look again
  local differs
  for _ = 1, 3 do
    local fresh <close> = index.open(out, ":memory:")
    fresh:update()
    idx:update()
    differs = difference(idx, fresh)
    if not differs then break end
  end
  if differs then
    bad[#bad + 1] = ("the index differs from the folders: it has\n  %s\nwhere they have\n  %s\n%s")
      :format(differs[1]:sub(1, 300), differs[2]:sub(1, 300), "`crun db rebuild` makes it anew")
  end
  for _, text in ipairs(bad) do io.stderr:write(text, "\n") end
  print(("%s/crun.db: %s: %s"):format(out, summary(idx), #bad == 0 and "in order" or
    "not in order"))
  if #bad > 0 then crun.exit(EFAILED) end
end

return function(args)
  local words = cli.parse("db", args, { out = true })
  local verb, out = words[1], runs.out()
  if verb ~= "rebuild" and verb ~= "check" or words[2] then
    cli.refuse("db takes one word: rebuild (from the run folders), or check")
  end
  if not cio.is_dir(out) then cli.refuse("db: there is no folder %s/", out) end
  if verb == "rebuild" then rebuild(out) else check(out) end
end
