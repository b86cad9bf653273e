--- crun compare SWEEP|RUN...: which is best, by how much, and is that noise
--
--   --metric M[,M...]   instead of those the plan reports; the first decides
--   --json              all of it as JSON
--   --cost              time, memory and images a second beside quality, the Pareto set marked
--   --allow-unfair      name a winner also where the race was not fair, and say so
--   --fail-if EXPR      "triplet.test/map@r < 0.8", "best.test/eer > base.test/eer + 0.01"
--
-- The same results print the same bytes: what differs between repetitions (time, memory, images a
-- second, how often the test set was looked at) is shown by --cost alone. Exit code 6 when the
-- condition of --fail-if holds.
local crun = require "crun"
local cli = require "crun.cli"
local compare = require "crun.compare"
local config = require "crun.config"
local folder = require "crun.compare.folder"
local options = require "crun.options"
local ui = require "crun.ui"
local cio = crun.io

local EFAILED <const> = 6

-- ---- as text ------------------------------------------------------------------------------------

local function plus_minus(mean, half, scale)
  return compare.text(mean, scale) .. (half and " ± " .. compare.text(half, scale) or "")
end

local function p_text(p)
  if not p then return "-" end
  return p < 0.001 and "< 0.001" or ("%.3f"):format(p)
end

local function print_table(c, t, cost)
  local by_name, rows = {}, {}
  for _, v in ipairs(c.variants) do by_name[v.name] = v end
  local scale = t.rows[1] and t.rows[1].mean
  for i, row in ipairs(t.rows) do
    local cells = { row.variant, tostring(row.n) }
    if row.n == 0 then
      for k = 3, 6 do cells[k] = "-" end
    else
      cells[3] = plus_minus(row.mean, row.half, scale)
      cells[4] = row.difference and (row.difference > 0 and "+" or "") .. plus_minus(row.difference,
        row.difference_high and row.difference_high - row.difference, scale) or "-"
      cells[5] = p_text(row.p)
      cells[6] = row.best and "best" or not row.tie and "worse" or row.alone and "tie *" or "tie"
    end
    if cost then
      local v = by_name[row.variant]
      local function number(x, format) return x and format:format(x) or "-" end
      cells[7] = v.cost.seconds and ui.duration(v.cost.seconds) or "-"
      cells[8] = number(v.cost.peak_mb, "%.0f")
      cells[9] = number(v.cost.images_per_second, "%.0f")
      cells[10] = v.pareto and "*" or ""
    end
    rows[i] = cells
  end
  print(("\n%s (%s is better)"):format(t.metric, t.goal == "max" and "more" or "less"))
  local columns = { "variant", "n", "mean ± 95 %", "difference ± 95 %", "p (Holm)", "" }
  if cost then
    for _, name in ipairs { "time", "MB", "images/s", "Pareto" } do columns[#columns + 1] = name end
  end
  print(ui.table { columns = columns, rows = rows })
end

local function heading(c)
  local parts = { c.name, ("%d %s"):format(#c.variants, #c.variants == 1 and "variant" or
    "variants") }
  local least, most = math.huge, 0
  for _, v in ipairs(c.variants) do
    least, most = math.min(least, v.tune.planned), math.max(most, v.tune.planned)
  end
  if most > 0 and c.metric.name then
    parts[#parts + 1] = ("tuned by %s trials each on %s"):format(least == most and most or
      ("%d to %d"):format(least, most), c.metric.name)
  end
  local keys = #c.tables[1].keys
  parts[#parts + 1] = ("%d %s"):format(keys, (c.final.folds or 0) > 1 and
    "pairs of seed and fold" or keys == 1 and "seed" or "seeds")
  return table.concat(parts, " · ")
end

-- the settings each variant ran with, and what they were chosen from
local function print_selected(c)
  local rows = {}
  for i, v in ipairs(c.variants) do
    if not v.selected then return end
    local settings, words = v.selected.settings or {}, {}
    for _, key in ipairs(options.sorted_keys(settings)) do
      words[#words + 1] = key .. " = " .. config.value_text(settings[key])
    end
    local score, pruned = folder.number(v.selected.score), v.tune.count.pruned
    rows[i] = { v.name, ("%s%s  (%d trials%s)"):format(score and compare.text(score) .. "  " or "",
      table.concat(words, ", "), v.tune.planned, pruned and (", %d pruned"):format(pruned) or "") }
  end
  print(("\nselected on %s\n"):format(c.metric.name or "?") .. ui.pairs(rows))
end

-- what would set ties apart, by the first table
local function print_needed(c)
  local by_n, numbers, alone = {}, {}, false
  for _, t in ipairs(c.tables) do
    for _, row in ipairs(t.rows) do alone = alone or row.alone end
  end
  for _, row in ipairs(c.tables[1].rows) do
    if row.needed then
      if not by_n[row.needed] then
        by_n[row.needed], numbers[#numbers + 1] = {}, row.needed
      end
      table.insert(by_n[row.needed], row.variant)
    end
  end
  table.sort(numbers)
  local parts = {}
  for i, n in ipairs(numbers) do
    parts[i] = ("%d%s would set apart %s"):format(n, i == 1 and " seeds" or "",
      table.concat(by_n[n], ", "))
  end
  if #parts > 0 then
    print(ui.pairs({ { "", "If the spread stays as it is, " .. table.concat(parts, "; ") .. "." } },
      ""))
  end
  if alone then
    print(ui.pairs({ { "", "* it would be worse were it the only comparison; among so many such a " ..
      "difference may be chance" } }, ""))
  end
end

local function print_text(c, cost)
  print(heading(c))
  for _, t in ipairs(c.tables) do
    if t.best then print_table(c, t, cost) end           -- or no final run is done yet
  end
  print("\n" .. ui.pairs({ { "", c.verdict.text } }, ""))
  print_needed(c)
  if cost then
    print(("\nOf time, memory and %s together, no variant beats those marked in the column Pareto.")
      :format(c.metrics[1]))
    if c.test_looks then
      print(("The test set was looked at %d times."):format(c.test_looks))
    end
  end
  print_selected(c)
  local first = true
  for _, w in ipairs(c.warnings) do
    if w.kind ~= "pruned" then                           -- no trouble; it stands above
      local who = w.variant and w.variant .. ": " or ""
      print(("%s! %s%s"):format(first and "\n" or "", who, w.text))
      first = false
    end
  end
end

-- ---- as JSON ------------------------------------------------------------------------------------

local function as_json(c, cost)
  local variants = {}
  for i, v in ipairs(c.variants) do
    variants[i] = { name = v.name, settings = v.settings, seeds = v.seeds, scores = v.scores,
      trials = v.tune.planned, selected = v.selected and { score = v.selected.score,
      trial = v.selected.trial, edges = v.selected.edges } or nil }
    if cost then variants[i].cost, variants[i].pareto = v.cost, v.pareto end
  end
  local verdict = {}
  for key, value in pairs(c.verdict) do
    verdict[key] = type(value) == "table" and cio.json_array(value) or value
  end
  return { name = c.name, kind = c.kind, metric = c.metric, tables = cio.json_array(c.tables),
    variants = cio.json_array(variants), warnings = cio.json_array(c.warnings), verdict = verdict,
    test_looks = cost and c.test_looks or nil }
end

-- ---- --fail-if ----------------------------------------------------------------------------------

-- "VARIANT.METRIC" or "best.METRIC" -> its mean, or false: no run has a value
local function value_of(c, text)
  local known = {}
  for _, t in ipairs(c.tables) do
    for _, row in ipairs(t.rows) do
      local name = row.variant .. "." .. t.metric
      known[#known + 1] = name
      if text == name or row.best and text == "best." .. t.metric then return row.mean or false end
    end
  end
  local near = options.nearest(text, known)
  cli.refuse("compare: --fail-if: there is no '%s'%s", text, near and
    ("; did you mean '%s'?"):format(near) or "; it takes VARIANT.METRIC, such as " .. known[1])
end

--- Whether a condition holds: VARIANT.METRIC < NUMBER, or < VARIANT.METRIC [- NUMBER]; also <=, >,
-- >=. Of a value that is missing every condition holds: a gate must not pass for want of runs.
local function holds(c, text)
  local left, op, right = text:match "^%s*(.-)%s*([<>]=?)%s*(.-)%s*$"
  if not left or left == "" or right == "" then
    cli.refuse("compare: --fail-if takes VARIANT.METRIC < NUMBER (or >, <=, >=), got '%s'", text)
  end
  local a, b = value_of(c, left), tonumber(right)
  if not b then
    local name, sign, shift = right:match "^(.-)%s+([+-])%s*([%d.eE-]+)$"
    b = value_of(c, name or right)
    local by = name and (tonumber(shift) or
      cli.refuse("compare: --fail-if: '%s' is no number", shift)) or 0
    b = b and b + (sign == "-" and -by or by)
  end
  local words = ("%s = %s, %s"):format(left, a and compare.text(a) or "missing", b and
    compare.text(b) or "missing")
  if not a or not b then return true, words end
  if op == "<" then return a < b, words elseif op == "<=" then return a <= b, words
  elseif op == ">" then return a > b, words end
  return a >= b, words
end

-- ---- the command --------------------------------------------------------------------------------

local function collect(words, opts)
  local path = #words == 1 and cli.sweep_path(words[1])
  if path then return compare.collect(path, opts) end
  local list = {}
  for i, word in ipairs(words) do
    if cli.sweep_path(word) then
      cli.refuse("compare: takes one sweep, or runs; %s is a sweep", word)
    end
    list[i] = cli.one_run("compare", word)
  end
  table.sort(list, function(a, b) return (a.record.started or 0) < (b.record.started or 0) end)
  return compare.of_runs(list, opts)
end

return function(args)
  local words, given = cli.parse("compare", args, { metric = true, json = false,
    ["allow-unfair"] = false, ["fail-if"] = true, cost = false, out = true })
  if #words == 0 then
    cli.refuse("compare needs a sweep folder, or runs; `crun runs` lists them")
  end
  local metrics
  for name in (given.metric or ""):gmatch "[^,]+" do
    metrics = metrics or {}
    metrics[#metrics + 1] = name
  end
  local c = collect(words, { metric = metrics, allow_unfair = given["allow-unfair"] })
  if cli.json(given) then print(cio.json_encode(as_json(c, given.cost)))
  else print_text(c, given.cost) end
  if given["fail-if"] then
    local failed, values = holds(c, given["fail-if"])
    if failed then
      io.stderr:write(("crun: compare: failed: %s (%s)\n"):format(given["fail-if"], values))
      crun.exit(EFAILED)
    end
  end
end
