--- crun runs [FILTER ...]
local crun = require "crun"
local cli = require "crun.cli"
local config = require "crun.config"
local folder = require "crun.compare.folder"
local runs = require "crun.runs"
local ui = require "crun.ui"
local cio = crun.io
local refuse, parse = cli.refuse, cli.parse
local function flat(s) local t = folder.flat(s) for k, v in pairs(t) do t[k] = config.value_text(v) end return t end
local function settings_of(run) return flat(runs.config(run).settings, "", {}) end

-- the settings in which the runs of a list differ
local function differing(all)
  local values, differs, names = {}, {}, {}
  for i, settings in ipairs(all) do
    for key, value in pairs(settings) do
      if i > 1 and values[key] ~= value then differs[key] = true end
      values[key] = values[key] == nil and i > 1 and "" or value
    end
    for key in pairs(values) do
      if settings[key] == nil then differs[key] = true end
    end
  end
  for key in pairs(differs) do names[#names + 1] = key end
  table.sort(names)
  return names
end

local function runs_command(args)
  local filters, given = parse("runs", args, { n = true, metric = true, out = true, json = false })
  local most = given.n and
    (math.tointeger(tonumber(given.n)) or refuse("runs: -n takes a number, got '%s'", given.n))
  local list, all = {}, {}
  for _, run in ipairs(runs.list()) do
    local settings, fits = settings_of(run), true
    for _, filter in ipairs(filters) do
      local key, value = filter:match("^([^=:]+)[=:](.*)$")
      if not key then refuse("runs: filters are KEY=VALUE or state:STATE, got '%s'", filter) end
      local has = key == "state" and run.state or key == "tag" and run.record.tag or settings[key]
      fits = fits and has == value
    end
    if fits and (not most or #list < most) then list[#list + 1], all[#all + 1] = run, settings end
  end
  if given.json or crun.options.json then
    local records = {}
    for i, run in ipairs(list) do
      records[i] = { id = run.id, path = run.path, state = run.state, run = run.record,
        config = runs.config(run), summary = runs.summary(run) }
    end
    return print(#records == 0 and "[]" or cio.json_encode(records))
  end
  if #list == 0 then
    return io.stderr:write(#filters > 0 and "no run fits\n" or
      ("there is no run in %s/\n"):format(runs.out()))
  end
  local metric = given.metric
  local summaries = {}
  for i, run in ipairs(list) do
    summaries[i] = runs.summary(run)
    if not metric and summaries[i]["test/map@r"] then metric = "test/map@r" end
  end
  metric = metric or "best/value"
  local names = differing(all)
  local columns, rows = { "run", "state", metric }, {}
  table.move(names, 1, #names, 4, columns)
  for i, run in ipairs(list) do
    local state = run.state
    if state == "failed" and run.record.exit_code == 5 then state = "diverged" end
    rows[i] = { run.id, state, summaries[i][metric] }
    for k, name in ipairs(names) do rows[i][3 + k] = all[i][name] or "-" end
  end
  print(ui.table { columns = columns, rows = rows,
    best = { [metric] = metric:find("loss") and "min" or "max" }, digits = 4 })
end
return runs_command
