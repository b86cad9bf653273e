--- help.lua - what `crun help` prints: usage, descriptors, the comments of modules
--
-- `crun help TOPIC [NAME]`; a topic is a command that is a file, a room (loss, miner, metric, op,
-- data), a module of the library (NAME.lua where a command has the same name), or the name of
-- anything in a room. Nothing is written twice: formulas and options come
-- from the descriptors, the rest from the comments in the sources.
local crun = require "crun"
local catalogue = require "crun.catalogue"
local options = require "crun.options"
local ui = require "crun.ui"

local M = {}

local USAGE <const> = [==[
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
  sweep PLAN.yaml          settings against each other: tuned alike, tested with fresh seeds;
                           also  sweep status|stop|resume|retry SWEEP,  -p lr=1e-2,1e-3
  compare SWEEP|RUN ...    which is best, by how much, is it noise;  --cost --json --fail-if
  report SWEEP|RUN ...     the same and more as one HTML page;  -o FILE
  runs [FILTER ...]        the runs of --out (runs/): loss=triplet lr<1e-3 state:failed since:2d
  show RUN                 one run: settings and where they come from, results, files;  --json
  log RUN, diff RUN RUN    what it logged (-f: as it comes); in what two differ
  tag, note, rm RUN ...    words for a run; remove it
  export SWEEP|RUN ...     --format csv|json|latex|tensorboard  -o FILE
  resume RUN               go on with a stopped run: its own script, its settings, the same bits
  db rebuild|check         the index of the runs, made from their folders
  doctor                   what this machine gives crun, and what is wrong with it
  bench [WORK ...]         training steps, inference, start;  --against torch --threads 1,2 --json
  bench losses, limits     each loss and miner over B (--b 64,256); what the machine gives
  data list|show|verify|fetch NAME    public data sets: whose, is it whole, get it
  docs losses|performance  prints docs/losses.md, docs/performance.md with their tables made anew
  types                    prints type stubs for the Lua language server
  check loss NAME|FILE.lua does a loss stand up: gradient, order, edges, nan, time and memory
  help [TOPIC [NAME]]      help runs, help loss, metric, op, data, optim, nn, run, config, exit ...
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
  -e CODE  -l MODULE  -i  -v  -E  -W  -                        as lua5.4]==]

local EXIT_CODES <const> = [[
exit codes
  0    done
  1    script error: a Lua error, its traceback on standard error
  2    usage error: unknown option, command or run
  3    bad settings: unknown key, wrong type, out of range
  4    data error: missing, damaged or unreadable; the file is named
  5    training diverged: NaN or infinity in the loss or in the weights
  6    a check failed, or what --fail-if says holds
  7    a sweep ended with some trials failed
  70   internal error
  74   the disk refused to write; what was saved before is whole
  75   stopped after a checkpoint (Ctrl-C, SIGTERM, SIGUSR1): go on with crun resume
  130  stopped at once by a second Ctrl-C]]

-- what people call a room, and the room
local ROOMS <const> = {
  loss = "losses", losses = "losses", miner = "miners", miners = "miners", metric = "metrics",
  metrics = "metrics", op = "ops", ops = "ops", data = "data", step = "optim",
}
local CALL <const> = { ops = "crun.%s", losses = "crun.losses.%s", miners = "crun.miners.%s",
  metrics = "crun.metrics.%s", data = "crun.data.%s", optim = "crun.optim.step.%s" }
local MODULES <const> = { "nn", "optim", "sampler", "schedule", "eval", "pca", "plot", "run",
  "config", "imagefolder", "checkpoint", "options", "inspect", "ui", "progress", "losses", "miners",
  "proxy", "relation", "distances", "reducers", "regularizers", "probe", "bench", "docs",
  "stats", "compare", "health", "export", "search", "datasets", "imageset", "loader",
  "report", "evidence", "study" }
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
local PARTS <const> = {
  nn = { GRU = "nn/recurrent", LSTM = "nn/recurrent", RNN = "nn/recurrent",
    BasicBlock = "nn/resnet", ResNet = "nn/resnet" },
  datasets = { mnist = "datasets/mnist", pendigits = "datasets/pendigits", lfw = "datasets/lfw",
    omniglot = "datasets/omniglot", omniglot_runs = "datasets/omniglot",
    omniglot_strokes = "datasets/omniglot", cifar10 = "datasets/cifar10",
    features = "datasets/features" },
}

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
function M.text(topic, name)
  if topic == nil then return USAGE end
  if topic == "exit" then return EXIT_CODES end
  if not name and topic:find "^%a[%w_]*$" then
    local command = module_help("command/" .. topic)
    if command then return command end
  end
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
  for any in pairs(CALL) do
    local names = catalogue.names(any)
    table.move(names, 1, #names, #known + 1, known)
  end
  local near = options.nearest(topic, known)
  return nil, ("there is no help on '%s'%s"):format(topic, near and
    ("; did you mean '%s'?"):format(near) or
    "; topics: loss, miner, metric, op, data, exit, " .. table.concat(MODULES, ", "))
end

return M
