--- cli.lua - the commands of crun: help, resume, runs, show, doctor
--
-- main.c calls main(word, args) when the first word is not a script. Results go to standard output,
-- talk to standard error; --json makes a listing one JSON text. Exit codes: `crun help exit`.
local crun = require "crun"
local catalogue = require "crun.catalogue"
local config = require "crun.config"
local options = require "crun.options"
local provenance = require "crun.provenance"
local runs = require "crun.runs"
local ui = require "crun.ui"
local cio = crun.io

local M = {}

local USAGE <const>, BAD_ARGUMENT <const> = [==[
usage: crun [options] SCRIPT.lua|DIR [KEY=VALUE ...]     run an experiment
       crun [options] COMMAND ...                        see below
       crun                                              a prompt, or runs standard input

examples
  crun experiments/triplet_faces.lua                     learn to tell faces apart
  crun experiments/triplet_faces.lua lr=3e-4 epochs=10   with other settings
  crun experiments/triplet_faces.lua --help              the settings of that script
  crun resume -1                                         go on with the newest run
  crun help loss triplet                                 formula, options and defaults of a loss

commands
  runs [KEY=VALUE ...]     the runs of --out (runs/): state, settings that differ, best value;
                           -n N, --metric NAME, --json
  show RUN                 one run: settings and where they come from, results, files;  --json
  resume RUN               go on with a stopped run: its own script, its settings, the same bits
  doctor                   what this machine gives crun, and what is wrong with it
  bench losses             time and memory of losses and miners;  --b 64,256 --threads 1,2 --json
  docs losses              prints docs/losses.md: every loss, its formula and its cost
  types                    prints type stubs for the Lua language server
  check loss NAME|FILE.lua does a loss stand up: gradient, order, edges, nan, time and memory
  help [TOPIC [NAME]]      help loss, metric, op, data, optim, nn, sampler, run, config, exit ...
RUN is a folder, a name or how it begins or ends, or -1 for the newest, -2 for the one before.

options, before the script (those marked * behind it too)
  --double                 compute in float64
  --threads N|auto *       threads of the engine; results do not depend on it
  --memory SIZE            most memory for tensors, such as 2G
  --resume[=RUN] *         go on with the newest unfinished run that has these settings
  --needed *               do nothing when a run with these settings is done already
  --config *               print the settings and where they come from, then end
  --dry-run *              check the settings, then end
  --max-time 2h *          stop with a checkpoint after that time (exit 75)
  --checkpoint-every 5m *  checkpoints within an epoch too
  --seed N *               the same as seed=N
  --out DIR *              where run folders are made (runs)
  --name NAME *            how the folder's name begins
  --tag TEXT *  --note TEXT *                            kept in run.json
  --progress bar|plain|none *,  -q: none;  --color auto|always|never *
  --strict-globals off     let scripts read and set any global
  -e CODE  -l MODULE  -i  -v  -E  -W  -                        as lua5.4]==], 2

local EXIT_CODES <const> = [[
exit codes
  0    done
  1    script error: a Lua error, its traceback on standard error
  2    usage error: unknown option, command or run
  3    bad settings: unknown key, wrong type, out of range
  4    data error: missing, damaged or unreadable; the file is named
  5    training diverged: NaN or infinity in the loss or in the weights
  6    a check failed
  70   internal error
  74   the disk refused to write; what was saved before is whole
  75   stopped after a checkpoint (Ctrl-C, SIGTERM, SIGUSR1): go on with crun resume
  130  stopped at once by a second Ctrl-C]]

local function refuse(text, ...)
  io.stderr:write("crun: ", select("#", ...) > 0 and text:format(...) or text, "\n")
  crun.exit(BAD_ARGUMENT)
end

-- ---- help ---------------------------------------------------------------------------------------

-- what people call a room, and the room
local ROOMS <const> = {
  loss = "losses", losses = "losses", miner = "miners", miners = "miners", metric = "metrics",
  metrics = "metrics", op = "ops", ops = "ops", data = "data", step = "optim",
}
local CALL <const> = { ops = "crun.%s", losses = "crun.losses.%s", miners = "crun.miners.%s",
  metrics = "crun.metrics.%s", data = "crun.data.%s", optim = "crun.optim.step.%s" }
local MODULES <const> = { "nn", "optim", "sampler", "schedule", "eval", "pca", "plot", "run",
  "config", "imagefolder", "checkpoint", "options", "inspect", "ui", "progress", "losses", "miners",
  "proxy", "relation", "distances", "reducers", "regularizers", "probe", "bench", "docs" }
-- other words for them
local ALIASES <const> = { optimiser = "optim", optimizer = "optim", optimisers = "optim",
  optimizers = "optim", samplers = "sampler", schedules = "schedule", distance = "distances",
  reducer = "reducers", regularizer = "regularizers", regulariser = "regularizers",
  relations = "relation", evaluation = "eval", module = "nn", layer = "nn" }

local function option_text(o)
  local limits = {}
  if o.choices then limits[#limits + 1] = "one of " .. o.choices:gsub(" ", ", ") end
  if (o.kind == "number" or o.kind == "count") and o.least then
    local low, high = math.abs(o.least) < 1e29, math.abs(o.most) < 1e29
    local function text(x) return ui.number(math.tointeger(x) or x) end
    if low and high then limits[#limits + 1] = ("%s to %s"):format(text(o.least), text(o.most))
    elseif low then limits[#limits + 1] = "at least " .. text(o.least)
    elseif high then limits[#limits + 1] = "at most " .. text(o.most) end
  end
  if o.required then limits[#limits + 1] = "must be given" end
  return { ("%s = %s"):format(o.name, catalogue.default_text(o)),
    (o.help or "") .. (#limits > 0 and " (" .. table.concat(limits, "; ") .. ")" or "") }
end

--- What `crun help loss triplet` prints, from the descriptor.
function M.describe(room, name)
  local d = catalogue.describe(room, name)
  local lines = { ("%s - %s"):format(name, d.help or ""), "" }
  local takes, optional = {}, {}
  for _, input in ipairs(d.inputs) do
    local list = input.optional and optional or takes
    list[#list + 1] = input.list and "{ " .. input.name .. ", ... }" or input.name
  end
  local arguments = table.concat(takes, ", ")
  if #optional > 0 then
    arguments = ("%s [, %s]"):format(arguments, table.concat(optional, ", "))
  end
  local call = CALL[room]:format(name)
  local made = room == "losses" or room == "miners"
  lines[#lines + 1] = "  " .. (made and ("%s { options } (%s)"):format(call, arguments)
    or ("%s(%s%s)"):format(call, arguments, #d.options == 0 and "" or arguments == "" and
      "{ options }" or ", { options }"))
  for _, part in ipairs { "formula", "paper", "differs" } do
    if d[part] and d[part] ~= "" then
      lines[#lines + 1] = "\n" .. part .. "\n" .. ui.pairs({ { "", d[part] } }, "")
    end
  end
  local function section(title, rows)
    if #rows > 0 then lines[#lines + 1] = "\n" .. title .. "\n" .. ui.pairs(rows) end
  end
  local inputs, outputs, given = {}, {}, {}
  for i, input in ipairs(d.inputs) do
    inputs[i] = { input.name or "x",
      ("%s [%s]%s"):format(input.type, (input.shape or ""):gsub(" ", ", "),
      input.optional and ", may be nil" or "") }
  end
  for i, output in ipairs(d.outputs or {}) do
    local name, shape = output, nil
    if type(output) == "table" then name, shape = output.name or "result", output.shape end
    outputs[i] = { name, shape and ("[%s]"):format(shape:gsub(" ", ", ")) or "" }
  end
  for i, o in ipairs(d.options) do given[i] = option_text(o) end
  section("inputs", inputs)
  section("outputs", outputs)
  section("options", given)
  if d.lua or d.composed then
    local about = "Also takes distances, reducers, relations and listed pairs, in a form " ..
      "written in operators."
    if d.wrapper then about = "Holds other losses."
    elseif d.lua then about = "Written in operators." end
    lines[#lines + 1] = "\n" .. ui.pairs({ { "", about } }, "")
  end
  if d.stats and #d.stats > 0 then
    lines[#lines + 1] = "\nstats\n  " .. table.concat(d.stats, ", ")
  end
  return table.concat(lines, "\n")
end

local function list_room(room)
  local rows = {}
  for i, name in ipairs(catalogue.names(room)) do
    rows[i] = { name, catalogue.describe(room, name).help or "" }
  end
  return #rows > 0 and ui.pairs(rows) or "  none yet"
end

-- The head of a module's file and the comment of each of its functions; wanted: of that function
-- alone.
local function module_help(name, wanted)
  local file = io.open(crun.library .. "/crun/" .. name .. ".lua")
  if not file then return end
  local head, parts, block, in_head = {}, {}, {}, true
  for line in file:lines() do
    local comment = line:match("^%-%-%-?%s?(.*)$")
    if comment and in_head then
      if not comment:find("^@") then head[#head + 1] = comment end
    elseif comment then
      if line:find("^%-%-%-") then block = { comment }
      elseif #block > 0 then block[#block + 1] = comment end
    else
      in_head = false
      local signature = line:match("^function%s+([%w_.:]+%b())")
      local class = line:match "^local%s+(%u%w*)%s+=%s+M%.class" or
        line:match '^%w+_class%("(%w+)"' or line:match '^local%s+%u%w*%s+=%s+%w+_class%(?%s*"(%w+)"'
      if class and #block > 0 and block[1] ~= "" then
        parts[#parts + 1] = name .. "." .. class .. "\n    " .. table.concat(block, "\n    ")
      elseif signature and #block > 0 and block[1] ~= "" then
        parts[#parts + 1] = signature:gsub("^M%.", name .. "."):gsub("^Run:", "run:"):gsub("^Set:",
          "set:") .. "\n    " .. table.concat(block, "\n    ")
      end
      block = {}
    end
  end
  file:close()
  if wanted then
    local found, names = {}, {}
    for _, part in ipairs(parts) do
      local own = part:match "^[%w_]+[.:]([%w_]+)"
      names[#names + 1] = own
      if own == wanted then found[#found + 1] = part end
    end
    return #found > 0 and table.concat(found, "\n\n") or nil, names
  end
  return table.concat(head, "\n") .. (#parts > 0 and "\n\n" .. table.concat(parts, "\n\n") or "")
end

-- names a module has from another file, or from C
local PARTS <const> = { nn = { GRU = "nn/recurrent", LSTM = "nn/recurrent", RNN = "nn/recurrent" } }

local function elsewhere(module, name)
  local part = PARTS[module] and PARTS[module][name]
  if part then return module_help(part) end
  if module == "optim" and crun.describe("optim", name:lower()) then
    return M.describe("optim", name:lower())
  end
end

-- the room a bare name is in
local function room_of(name)
  for _, room in ipairs { "losses", "miners", "metrics", "ops", "data", "optim" } do
    for _, other in ipairs(catalogue.names(room)) do
      if other == name then return room end
    end
  end
end

--- The text for `crun help TOPIC [NAME]`, or nil and why there is none.
function M.help(topic, name)
  if topic == nil then return USAGE end
  if topic == "exit" then return EXIT_CODES end
  topic = ALIASES[topic] or topic
  local room = ROOMS[topic]
  if room and not name then
    return room .. "\n" .. list_room(room) .. (room == "losses" and
      "\n\nwhat they all take: crun help losses.lua, relation, distance, reducer" or "")
  end
  if room then
    local names = catalogue.names(room)
    for _, other in ipairs(names) do
      if other == name then return M.describe(room, name) end
    end
    local near = options.nearest(name, names)
    return nil, ("there is no %s '%s'%s"):format(topic, name, near and
      ("; did you mean '%s'?"):format(near) or
      "; `crun help " .. topic .. "` lists them")
  end
  for _, module in ipairs(MODULES) do
    local here = module == topic or module .. ".lua" == topic
    local text, functions = nil, nil
    if here then text, functions = module_help(module, name) end
    if here and name and not text then text = elsewhere(module, name) end
    if text then return text end
    if here and name then
      local near = options.nearest(name, functions or {})
      return nil, ("%s has no '%s'%s"):format(module, name, near and
        ("; did you mean '%s'?"):format(near) or ("; `crun help %s` tells all"):format(topic))
    end
  end
  room = room_of(topic)
  if room then return M.describe(room, topic) end
  local known = { "loss", "miner", "metric", "op", "data", "exit", table.unpack(MODULES) }
  for room in pairs(CALL) do
    local names = catalogue.names(room)
    table.move(names, 1, #names, #known + 1, known)
  end
  local near = options.nearest(topic, known)
  return nil, ("there is no help on '%s'%s"):format(topic, near and
    ("; did you mean '%s'?"):format(near) or
    "; topics: loss, miner, metric, op, data, exit, " .. table.concat(MODULES, ", "))
end

-- ---- runs and show ------------------------------------------------------------------------------

-- { lr = 0.1, batch = { p = 8 } } -> { ["lr"] = 0.1, ["batch.p"] = 8 }
local function flat(settings, prefix, into)
  for key, value in pairs(settings) do
    if type(value) == "table" and #value == 0 and next(value) ~= nil then
      flat(value, prefix .. key .. ".", into)
    else
      into[prefix .. key] = config.value_text(value)
    end
  end
  return into
end

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

-- Flags and values of a command: spec name -> true for a value, false for a flag. Returns what is
-- left and the flags.
local function parse(command, args, spec)
  local left, given, i = {}, {}, 1
  while i <= #args do
    local arg = args[i]
    local name, value = arg:match("^%-%-?([%a][%w-]*)=?(.*)$")
    if not name then
      left[#left + 1] = arg
    else
      if spec[name] == nil then
        refuse("%s: unknown option '%s'%s", command, arg, (function()
          local near = options.nearest(name, options.sorted_keys(spec))
          return near and ("; did you mean '--%s'?"):format(near) or ""
        end)())
      end
      if spec[name] then
        if value == "" then
          i = i + 1
          value = args[i]
        end
        if not value then refuse("%s: %s needs a value", command, arg) end
        given[name] = value
      else
        given[name] = true
      end
    end
    i = i + 1
  end
  if given.out then crun.options.out = given.out end
  return left, given
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

local function files_below(path, prefix, into)
  local names, kinds = cio.list(path)
  for _, name in ipairs(names) do
    if kinds[name] == "folder" then
      files_below(path .. "/" .. name, prefix .. name .. "/", into)
    else
      into[#into + 1] = prefix .. name
    end
  end
  return into
end

local function one_run(command, word)
  if not word then
    refuse("%s needs a run: a folder, a name, or -1 for the newest; `crun runs` lists them",
      command)
  end
  local run, why = runs.find(word)
  if not run then refuse("%s: %s", command, why) end
  return run
end

-- -1 is a run, not an option
local function run_argument(args)
  local words = {}
  for i, arg in ipairs(args) do words[i] = arg:find("^%-%d+$") and " " .. arg or arg end
  return words
end

local function show_command(args)
  local left, given = parse("show", run_argument(args), { json = false, out = true })
  local run = one_run("show", left[1] and left[1]:gsub("^ ", ""))
  local record, settings, summary = run.record, runs.config(run), runs.summary(run)
  if given.json or crun.options.json then
    return print(cio.json_encode { id = run.id, path = run.path, state = run.state, run = record,
      config = settings, summary = summary })
  end
  local ended = record.ended or cio.time()
  print(("%s  %s%s"):format(ui.bold(run.id), run.state, record.reason and ": " .. record.reason or
    ""))
  local facts = {
    { "script", record.script or "-" },
    { "begun", ("%s, %s long%s"):format(record.start_time or "?",
      ui.duration(ended - (record.started or ended)),
      #(record.sessions or {}) > 1 and (" in %d parts"):format(#record.sessions) or "") },
    { "machine", ("%s, %s, %d threads, %s"):format(record.host or "?", record.cpu or "?",
      record.threads or 0, record.precision or "?") },
    { "crun", ("%s%s"):format(record.crun or "?", record.commit and ", commit " ..
      record.commit:sub(1, 12) or "") },
  }
  if record.tag then facts[#facts + 1] = { "tag", record.tag } end
  print(ui.pairs(facts))
  local rows, values = {}, flat(settings.settings, "", {})
  for _, key in ipairs(options.sorted_keys(values)) do
    local origin = settings.origin[key]
    if origin then
      local value = values[key] == "" and '""' or values[key]
      rows[#rows + 1] = { key .. " = " .. value, origin ~= "default" and origin or "" }
    end
  end
  if #rows > 0 then print("\nsettings\n" .. ui.pairs(rows)) end
  rows = {}
  for _, key in ipairs(options.sorted_keys(summary)) do
    local value = summary[key]
    rows[#rows + 1] = { key, type(value) == "number" and ("%.6g"):format(value) or tostring(value) }
  end
  if #rows > 0 then print("\nresults\n" .. ui.pairs(rows)) end
  print("\nfiles in " .. run.path)
  for _, name in ipairs(files_below(run.path, "", {})) do print("  " .. name) end
  if run.state ~= "done" and run.state ~= "running" then
    print("\ngo on with: crun resume " .. run.path)
  end
end

-- ---- resume -------------------------------------------------------------------------------------

local function resume_command(args)
  local left, given = parse("resume", run_argument(args),
    { force = false, out = true, progress = true })
  local run = one_run("resume", left[1] and left[1]:gsub("^ ", ""))
  if left[2] then
    refuse("resume: the settings are those of the run; '%s' cannot be changed", left[2])
  end
  if given.progress then crun.options.progress = given.progress end
  local record = run.record
  if run.state == "done" then
    return io.stderr:write(run.id, " is done: there is nothing to go on with\n")
  end
  if run.state == "running" then
    if record.host == cio.hostname() then
      refuse("resume: %s is being run by process %d", run.id, record.pid or 0)
    elseif not given.force then
      refuse("resume: %s says that process %d on %s runs it; if that is not so: crun resume --force %s", run.id,
        record.pid or 0, record.host or "?", run.path)
    end
    record.state = "lost"
    cio.write_file(run.path .. "/run.json", cio.json_encode(record) .. "\n")
  end
  if record.precision ~= crun.precision then
    refuse("resume: %s computes in %s, this process in %s: %s", run.id, record.precision,
      crun.precision,
      record.precision == "float64" and ("crun --double resume %s"):format(run.path) or
        "leave out --double")
  end
  local name = (record.script or ""):match("[^/]*$")
  local path = run.path .. "/source/" .. name
  if name == "" or not cio.exists(path) then
    refuse("resume: %s has no copy of its script", run.id)
  end
  if record.folder ~= cio.cwd() then
    io.stderr:write(("note: the run was begun in %s; relative paths in its settings now mean another place\n")
      :format(record.folder))
  end

  -- as main.c would run it, with modules found beside the copy first, then beside the script itself
  local original = provenance.folder_of(record.script)
  local source = run.path .. "/source"
  package.path = ("%s/?.lua;%s/?/init.lua;%s/?.lua;%s/?/init.lua;%s"):format(source, source,
    original, original, package.path)
  crun.script, crun.args, crun.options.resume = path, record.args or {}, run.path
  local args_table = { [0] = path }
  for i, value in ipairs(crun.args) do args_table[i] = value end
  rawset(_G, "arg", args_table)
  local strict = crun.options.strict_globals ~= "off"
  local script, message = loadfile(path, "t", strict and require "crun.strict" or _G)
  if not script then error(message, 0) end
  return script(table.unpack(args_table))
end

-- ---- everything ---------------------------------------------------------------------------------

local function help_command(args)
  local text, why = M.help(args[1], args[2])
  if not text then refuse("help: %s", why) end
  print(text)
end

local function version_command(args)
  if args[1] == "--json" then
    return print(cio.json_encode { crun = crun.version, lua = _VERSION, precision = crun.precision,
      vector = crun.vector })
  end
  print(("crun %s, the experiment runtime (not the OCI runtime)  %s, %s"):format(crun.version,
    _VERSION, crun.precision))
end

local COMMANDS <const> = {
  help = help_command, ["--help"] = help_command, ["--version"] = version_command,
  version = version_command, runs = runs_command, show = show_command, resume = resume_command,
  doctor = function() return require("crun.doctor").run() end,
  types = function() return require("crun.types").run() end,
  bench = function(args) return require("crun.bench").run(args) end,
  check = function(args) return require("crun.check").run(args) end,
  docs = function(args) return require("crun.docs").run(args) end,
}

-- the verbs of the container runtime that is called crun too
local CONTAINER <const> = { create = true, start = true, state = true, spec = true, kill = true,
  delete = true, exec = true,
  list = true, ps = true, pause = true, unpause = true, update = true, checkpoint = true,
    restore = true,
  ["--root"] = true, ["--systemd-cgroup"] = true, ["--log-format"] = true, ["--log"] = true,
    ["--cgroup-manager"] = true }

local function near_scripts(word)
  local found = {}
  for _, folder in ipairs { ".", "experiments" } do
    if cio.is_dir(folder) then
      for _, name in ipairs((cio.list(folder))) do
        local path = (folder == "." and "" or folder .. "/") .. name
        if name:find("%.lua$") and (options.nearest(word, { name, (name:gsub("%.lua$", "")) }) or
           name:find(word, 1, true)) then
          found[#found + 1] = path
        end
      end
    end
  end
  return found
end

-- The other commands are files: lua/crun/command/NAME.lua returns a function(args).
local function commands()
  local folder, names = crun.library .. "/crun/command", options.sorted_keys(COMMANDS)
  if cio.is_dir(folder) then
    for _, name in ipairs((cio.list(folder))) do names[#names + 1] = name:match("^(.*)%.lua$") end
  end
  return names
end

--- What command files share: flags, refusal, and the run a word means.
M.parse, M.refuse, M.one_run, M.run_argument = parse, refuse, one_run, run_argument

--- Runs a command; called by main.c with the first word and those after it.
function M.main(word, args)
  local command = COMMANDS[word]
  if command then return command(args) end
  if word:find "^%a[%w_]*$" and cio.exists(crun.library .. "/crun/command/" .. word .. ".lua") then
    return require("crun.command." .. word)(args)
  end
  if CONTAINER[word:match("^[^=]*")] then
    refuse("'%s' is for the container runtime that is called crun too; this is crun, the experiment runtime", word)
  end
  local near = options.nearest(word, commands())
  local hints = { near and ("the command '%s'"):format(near) }
  for _, script in ipairs(near_scripts(word)) do hints[#hints + 1] = ("the script %s"):format(script) end
  refuse("there is no command or script '%s'%s", word, #hints > 0 and "; did you mean " ..
    table.concat(hints, " or ") .. "?" or "; `crun help` lists the commands")
end

return M
