--- crun runs [FILTER ...]: the runs of --out: state, settings that differ, best value
--
-- Filters: KEY=VALUE, !=, <, <=, >, >= of a setting or a result (loss=triplet lr<1e-3
-- test/map@r>0.8), and state:failed tag:paper sweep:NAME variant:NAME name:BEGINNING
-- since:2d|3h|2026-11-20. All must hold. Runs of sweeps are listed with sweep: (sweep:* for all).
local crun = require "crun"
local cli = require "crun.cli"
local index = require "crun.index"
local options = require "crun.options"
local runs = require "crun.runs"
local ui = require "crun.ui"
local cio = crun.io

local function state_of(run)
  return run.state == "failed" and run.record.exit_code == 5 and "diverged" or run.state
end

-- ---- filters ------------------------------------------------------------------------------------

local UNITS <const> = { s = 1, m = 60, h = 3600, d = 86400, w = 7 * 86400 }

local function time_of(text)
  local n, unit = text:match "^(%d+%.?%d*)([smhdw])$"
  if n then return cio.time() - tonumber(n) * UNITS[unit] end
  local y, m, d = text:match "^(%d%d%d%d)-(%d%d)-(%d%d)$"
  if y then return os.time { year = y, month = m, day = d, hour = 0 } end
  cli.refuse("runs: since: takes 30m, 2h, 3d, 1w or a date such as 2026-11-20, got '%s'", text)
end

local function has(list, value)
  for _, v in ipairs(list) do
    if v == value then return true end
  end
  return false
end

local WORDS <const> = {
  state = function(run, value) return state_of(run) == value or run.state == value end,
  tag = function(run, value) return has(run.tags, value) end,
  sweep = function(run, value)
    return run.sweep ~= nil and (value == "*" or run.sweep == value:gsub("/+$", ""))
  end,
  variant = function(run, value) return run.record.variant == value end,
  phase = function(run, value) return run.record.phase == value end,
  name = function(run, value) return run.id:sub(1, #value) == value end,
  since = function(run, _, time) return (run.record.started or 0) >= time end,
}

local COMPARE <const> = {
  ["="] = function(a, b) return a == b end, ["!="] = function(a, b) return a ~= b end,
  ["<"] = function(a, b) return a < b end, ["<="] = function(a, b) return a <= b end,
  [">"] = function(a, b) return a > b end, [">="] = function(a, b) return a >= b end,
}

-- "lr<1e-3" -> a function of a run; also the key, when it is one of settings or results
local function filter_of(text)
  local word, value = text:match "^(%a+):(.*)$"
  if word and WORDS[word] then
    local time = word == "since" and time_of(value) or nil
    return function(run) return WORDS[word](run, value, time) end, nil, word
  end
  local key, op, wanted = text:match "^([^=<>!]+)([=<>!]=?)(.*)$"
  if not key or not COMPARE[op] or wanted == "" then
    cli.refuse("runs: filters are KEY=VALUE (or !=, <, <=, >, >=) or one of %s, got '%s'",
      table.concat(options.sorted_keys(WORDS), ":, ") .. ":", text)
  end
  local number = tonumber(wanted)
  return function(run)
    local found = run.settings[key]
    if found == nil then found = run.summary[key] end
    if found == nil then return op == "!=" end
    local both = number and tonumber(found)
    if both then return COMPARE[op](both, number) end
    if op ~= "=" and op ~= "!=" then return false end
    return COMPARE[op](tostring(found), wanted)
  end, key
end

-- Of a key that no run has: the nearest there is.
local function check_key(key, all)
  local names = {}
  for _, run in ipairs(all) do
    if run.settings[key] ~= nil or run.summary[key] ~= nil then return end
    for name in pairs(run.settings) do names[name] = true end
    for name in pairs(run.summary) do names[name] = true end
  end
  local near = options.nearest(key, options.sorted_keys(names))
  io.stderr:write(("note: no run has a setting or result '%s'%s\n"):format(key, near and
    ("; did you mean '%s'?"):format(near) or ""))
end

local function filtered(all, words)
  local filters, in_sweeps = {}, false
  for i, text in ipairs(words) do
    local key, word
    filters[i], key, word = filter_of(text)
    in_sweeps = in_sweeps or word == "sweep"
    if key and #all > 0 then check_key(key, all) end
  end
  local list, hidden = {}, {}
  for _, run in ipairs(all) do
    local fits = true
    for _, f in ipairs(filters) do fits = fits and f(run) end
    if fits and run.sweep and not in_sweeps then hidden[run.sweep] = (hidden[run.sweep] or 0) + 1
    elseif fits then list[#list + 1] = run end
  end
  return list, hidden
end

-- ---- the listing --------------------------------------------------------------------------------

-- the settings in which the runs of a list differ
local function differing(list)
  local first, differs = list[1] and list[1].settings or {}, {}
  for _, run in ipairs(list) do
    for key, value in pairs(run.settings) do
      if first[key] ~= value then differs[key] = true end
    end
    for key in pairs(first) do
      if run.settings[key] == nil then differs[key] = true end
    end
  end
  return options.sorted_keys(differs)
end

-- "lr" or "-test/map@r": by that setting or result, numbers before texts, those without one last
local function sort(list, wish)
  local sign, key = wish:match "^(%-?)(.+)$"
  local place, value_of = {}, {}
  for i, run in ipairs(list) do
    local v = run.settings[key]
    if v == nil then v = run.summary[key] end
    if v == nil then v = run.record[key] end
    place[run], value_of[run] = i, tonumber(v) or type(v) == "string" and v or nil
  end
  table.sort(list, function(a, b)
    local x, y = value_of[a], value_of[b]
    if x == y or x ~= x or y ~= y then return place[a] < place[b] end
    if x == nil or y == nil then return y == nil end
    if type(x) ~= type(y) then return type(x) == "number" end
    if sign == "-" then return x > y end
    return x < y
  end)
end

local function as_json(list)
  local records = {}
  for i, run in ipairs(list) do
    records[i] = { id = run.id, path = run.path, sweep = run.sweep, state = run.state,
      run = run.record, config = runs.config(run), summary = runs.summary(run),
      tags = cio.json_array(run.tags), notes = cio.json_array(run.notes) }
  end
  return cio.json_encode(cio.json_array(records))
end

local function print_table(list, metric)
  for _, run in ipairs(list) do
    if not metric and run.summary["test/map@r"] then metric = "test/map@r" end
  end
  metric = metric or "best/value"
  local names = differing(list)
  local columns, rows, tagged = { "run", "state", metric }, {}, false
  table.move(names, 1, #names, 4, columns)
  for _, run in ipairs(list) do tagged = tagged or #run.tags > 0 end
  for i, run in ipairs(list) do
    rows[i] = { run.id, state_of(run), run.summary[metric] }
    for k, name in ipairs(names) do rows[i][3 + k] = run.settings[name] or "-" end
    if tagged then rows[i][4 + #names] = table.concat(run.tags, ",") end
  end
  if tagged then columns[#columns + 1] = "tags" end
  print(ui.table { columns = columns, rows = rows, digits = 4,
    best = { [metric] = require("crun.compare").goal(metric) } })
end

return function(args)
  local words, given = cli.parse("runs", args, { n = true, metric = true, sort = true, out = true,
    json = false })
  local most = given.n and
    (math.tointeger(tonumber(given.n)) or cli.refuse("runs: -n takes a number, got '%s'", given.n))
  local out = runs.out()
  local all = {}
  if cio.is_dir(out) then
    local now, problems = index.current(nil, out)
    local idx <close> = now
    if idx.note then io.stderr:write("note: ", idx.note, "\n") end
    for _, problem in ipairs(problems) do io.stderr:write("note: ", problem, "\n") end
    all = idx:list()
  end
  local list, hidden = filtered(all, words)
  if given.sort then sort(list, given.sort) end
  list = table.move(list, 1, math.min(most or #list, #list), 1, {})
  if cli.json(given) then return print(as_json(list)) end
  if #list > 0 then print_table(list, given.metric)
  elseif not next(hidden) then
    io.stderr:write(#words > 0 and "no run fits\n" or ("there is no run in %s/\n"):format(out))
  end
  for _, sweep in ipairs(options.sorted_keys(hidden)) do
    io.stderr:write(("and %d %s of the sweep %s: crun runs sweep:%s\n"):format(hidden[sweep],
      hidden[sweep] == 1 and "run" or "runs", sweep, sweep))
  end
end
