--- The tables of docs/performance.md, from what `crun bench --json` printed.
--
--     crun bench --against torch --json > docs/bench_steps.jsonl
--     crun bench limits --json > docs/bench_limits.jsonl
--     crun docs performance > new.md; mv new.md docs/performance.md
--
-- The page itself is text, and stays as it is: what stands between a figure and its goal is said
-- there. A table stands between <!-- steps --> or <!-- limits --> and <!-- end --> and is made anew;
-- above it comes the machine, and a line {"note": "..."} of the measurements if one was added.
--
-- @module crun.bench.page
local crun = require "crun"

local M = {}

-- crun's time over torch's, at most, on two threads: what must be, and the goal beyond
local GOALS <const> = { ["mlp/128/triplet"] = { 0.6, 0.42 }, ["mlp/512/triplet"] = { 0.7, 0.52 },
  face64 = { 0.4, 0.33 }, face112 = { 0.45, 0.38 }, resnet8 = { 0.65, 0.52 },
  resnet20 = { 0.65, 0.52 }, head = { 0.5, 0.3 }, gru = { 0.3, 0.2 }, tiny = { 0.1, 0.05 },
  infer = { 0.5 }, retrieval = { 0.5 } }
-- peak memory over torch's, and milliseconds from the start of a process to its first step done
local MEMORY <const>, START <const> = 0.5, { 60, 15 }

local function digits(x)
  if not x then return "" end
  return ("%." .. (x >= 100 and 0 or x >= 10 and 1 or x >= 1 and 2 or 3) .. "f"):format(x)
end

local function records_of(path)
  local list, notes, machine = {}, {}, nil
  local file = io.open(path)
  for line in file and file:lines() or function() end do
    local record = line:find "%S" and crun.io.json_decode(line) or {}
    if record.machine and not machine then
      machine = record.machine
      table.insert(notes, 1, "Taken on " .. machine .. ".")
    end
    if record.note then notes[#notes + 1] = record.note
    elseif next(record) then list[#list + 1] = record end
  end
  if file then file:close() end
  return list, notes
end

local function table_of(columns, rows, notes)
  local lines = {}
  for _, note in ipairs(notes) do lines[#lines + 1] = note .. "\n" end
  lines[#lines + 1] = "| " .. table.concat(columns, " | ") .. " |"
  lines[#lines + 1] = "|---" .. ("|---:"):rep(#columns - 1) .. "|"
  for _, row in ipairs(rows) do lines[#lines + 1] = "| " .. table.concat(row, " | ") .. " |" end
  return table.concat(lines, "\n")
end

-- "0.4", "0.4 (0.33)" with a goal beyond, "missed: 0.4" where value is above it.
local function goal_text(value, goal, unit)
  if not (value and goal) then return "" end
  return ("%s%g%s%s"):format(value > goal[1] and "missed: " or "", goal[1], unit or "",
    goal[2] and (" (%g)"):format(goal[2]) or "")
end

--- Workloads, beside torch where it was measured.
function M.steps(path)
  local records, notes = records_of(path)
  local rows = {}
  for i, r in ipairs(records) do
    local torch = r.torch or {}
    local goal = r.params.threads == 2 and (GOALS[r.name] or GOALS[r.name:match "^[^/]+"])
    local much = r.memory_ratio and r.memory_ratio > MEMORY
    rows[i] = { r.name, tostring(r.params.threads), digits(r.median_ms), digits(r.speedup),
      r.flops and digits(r.flops / 1e9) or "", r.bytes and digits(r.bytes / 1e6) or "",
      digits(r.floor_ms), digits(r.gflops), digits(r.peak_rss_mb), digits(torch.median_ms),
      digits(torch.peak_rss_mb) .. (much and (", missed: %g of it"):format(MEMORY) or ""),
      digits(r.ratio),
      r.name == "start" and goal_text(r.median_ms, START, " ms") or goal_text(r.ratio, goal) }
  end
  return table_of({ "workload", "threads", "ms", "speedup", "GFLOP", "MB moved", "floor ms",
    "GFLOP/s", "peak MB", "torch ms", "torch MB", "ratio", "goal" }, rows, notes)
end

--- What the parts reach of what the machine can do.
function M.limits(path)
  local records, notes = records_of(path)
  local rows = {}
  for i, r in ipairs(records) do
    rows[i] = { r.what, r.threads and tostring(r.threads) or "", digits(r.value) .. " " .. r.unit,
      r.share and ("%.2f"):format(r.share) or "",
      r.least and "at least " .. digits(r.least) or r.most and "at most " .. digits(r.most) or "",
      r.pass == false and "missed" or "" }
  end
  return table_of({ "what", "threads", "reached", "of the limit", "goal", "" }, rows, notes)
end

--- The page with its tables made anew from the files of measurements beside it.
function M.page(path)
  path = path or "docs/performance.md"
  local folder = path:match "^(.*/)" or ""
  local text = crun.io.read_file(path)
  for _, name in ipairs { "steps", "limits" } do
    local file = folder .. "bench_" .. name .. ".jsonl"
    if crun.io.exists(file) then
      local made = ("<!-- %s -->\n%s\n<!-- end -->"):format(name, M[name](file))
      text = text:gsub("<!%-%- " .. name .. " %-%->.-<!%-%- end %-%->",
        function() return made end)
    end
  end
  return text
end

return M
