--- `crun docs losses`: the page docs/losses.md, out of the descriptors and the last measurement.
--
--     crun bench losses --json --threads 2 > docs/bench_losses.jsonl      (a note may be added)
--     crun docs losses > docs/losses.md
--
-- A test holds the page against what this prints.
--
-- @module crun.docs
local crun = require "crun"
local bench = require "crun.bench"
local catalogue = require "crun.catalogue"

local M = {}

-- ---- cells --------------------------------------------------------------------------------------

local function cell(text)
  return (tostring(text or ""):gsub("|", "\\|"):gsub("%s*\n%s*", "<br>"))
end

-- a formula keeps its lines; each is code
local function code_lines(text)
  local lines = {}
  for line in (text or ""):gmatch "[^\n]+" do
    line = line:match "^%s*(.-)%s*$"
    line = line:gsub("`", "'"):gsub("%s+", " ")
    if line ~= "" then lines[#lines + 1] = "`" .. line .. "`" end
  end
  return cell(table.concat(lines, "\n"))
end

-- what pair losses share is told once, above the table
local SHARED <const> = { distance = true, squared = true, normalize = true, reduction = true }

local function options_text(d)
  local list = {}
  for _, o in ipairs(d.options) do
    if not SHARED[o.name] or o.required then
      list[#list + 1] = o.name .. " " .. catalogue.default_text(o)
    end
  end
  return cell(table.concat(list, ", "))
end

-- ---- measurements -------------------------------------------------------------------------------

--- Records of a file of JSON lines, or nil when there is none; and its notes, lines { note = text }.
function M.read_bench(path)
  local file = io.open(path)
  if not file then return nil end
  local records, notes = {}, {}
  for line in file:lines() do
    local record = line:find "%S" and crun.io.json_decode(line) or {}
    if record.note then notes[#notes + 1] = record.note
    elseif record.name then records[#records + 1] = record end
  end
  file:close()
  return records, notes
end

-- name -> how its time grows with B, and its memory, by the two largest batches it ran on
local function costs(records)
  local by_name, cost = {}, {}
  for _, r in ipairs(records or {}) do
    if r.median_ms then
      by_name[r.name] = by_name[r.name] or {}
      table.insert(by_name[r.name], r)
    end
  end
  for name, list in pairs(by_name) do
    table.sort(list, function(a, b) return a.params.B < b.params.B end)
    local last, before = list[#list], list[#list - 1]
    if before then
      local power = math.log(last.median_ms / before.median_ms) /
        math.log(last.params.B / before.params.B)
      local memory = math.log(math.max(last.peak_extra_mb, 1e-3) /
        math.max(before.peak_extra_mb, 1e-3)) / math.log(last.params.B / before.params.B)
      cost[name] = ("time B^%.1f, memory B^%.1f"):format(power, memory)
    end
  end
  return cost
end

-- ---- the page -----------------------------------------------------------------------------------

local HEAD <const> = [[
# Losses and miners

Written by `crun docs losses`; `crun help loss NAME` says more about each: inputs, ranges, stats and
edges. Options are shown with their defaults. Losses over labelled batches also take

- `distance`: euclidean, manhattan, cosine (1 - cos) or dot (minus the product), or any of
  `crun.distances`; `squared`; `normalize`: rows are divided by their length first, never unasked;
- `reduction`, or `reducer` of `crun.reducers`, and `regularizer` of `crun.regularizers`;
- a reference set, mined pairs or triplets, or a `crun.relation` in place of labels.

An empty set of pairs costs 0 and has a gradient of 0.]]

local function catalogue_table(room, cost, lines)
  lines[#lines + 1] = "| name | what | formula | options | cost in B | paper |"
  lines[#lines + 1] = "|---|---|---|---|---|---|"
  for _, name in ipairs(catalogue.names(room)) do
    local d = catalogue.describe(room, name)
    lines[#lines + 1] = ("| %s | %s | %s | %s | %s | %s |"):format(name, cell(d.help),
      code_lines(d.formula), options_text(d), cost[room .. "." .. name] or "", cell(d.paper))
  end
end

local function differences(lines)
  lines[#lines + 1] = "\n## Where other libraries differ\n"
  for _, room in ipairs { "losses", "miners" } do
    for _, name in ipairs(catalogue.names(room)) do
      local d = catalogue.describe(room, name)
      if d.differs and d.differs ~= "" then
        lines[#lines + 1] = ("- **%s** (%s): %s"):format(name, room, (d.differs:gsub("%s+", " ")))
      end
    end
  end
end

local function measured(records, notes, lines)
  local sizes, rows = bench.tabulate(records)
  lines[#lines + 1] = [[

## Time and memory

Forward and backward, D = 128, 8 items a class: median milliseconds, and the megabytes a run needs
at its peak beyond what was there before, its gradients included. By `crun bench losses`; compare
columns, and machines with care. A dash: not run, with the reason below.
]]
  for _, note in ipairs(notes) do lines[#lines + 1] = note .. "\n" end
  local head = { "| name | threads |" }
  for _, B in ipairs(sizes) do head[#head + 1] = (" B = %d |"):format(B) end
  lines[#lines + 1] = table.concat(head)
  lines[#lines + 1] = "|---|---|" .. ("---|"):rep(#sizes)
  local reasons, seen = {}, {}
  for _, row in ipairs(rows) do
    local cells = {}
    for i, B in ipairs(sizes) do
      local r = row.cell[B]
      cells[i] = r and r.median_ms and
        ("%s ms, %s MB"):format(bench.short(r.median_ms), bench.short(r.peak_extra_mb)) or "-"
      local key = r and r.reason and row.name .. r.reason
      if key and not seen[key] then
        seen[key] = true
        reasons[#reasons + 1] = ("- %s from B = %d: %s"):format(row.name, B, r.reason)
      end
    end
    lines[#lines + 1] = ("| %s | %d | %s |"):format(row.name, row.threads,
      table.concat(cells, " | "))
  end
  if #reasons > 0 then lines[#lines + 1] = "\nNot run:\n\n" .. table.concat(reasons, "\n") end
end

--- The text of docs/losses.md; path: the measurements (docs/bench_losses.jsonl).
function M.losses(path)
  local records, notes = M.read_bench(path or "docs/bench_losses.jsonl")
  local cost, lines = costs(records), { HEAD, "\n## Losses\n" }
  catalogue_table("losses", cost, lines)
  lines[#lines + 1] = 
    "\nThe cost is measured: how time and memory grew between the two largest batches."
  lines[#lines + 1] = "\n## Miners\n"
  catalogue_table("miners", cost, lines)
  differences(lines)
  if records then measured(records, notes, lines) end
  return table.concat(lines, "\n")
end

--- `crun docs losses [BENCH.jsonl]`, `crun docs performance [PAGE.md]`.
function M.run(args)
  local page = args[1]
  if page == "losses" then return print(M.losses(args[2])) end
  if page ~= "performance" then crun.fail("docs", "the pages are: losses, performance") end
  io.write(require("crun.bench.page").page(args[2]))
end

return M
