--- cli.lua - the commands of crun: which file a word means, and what command files share
--
-- main.c calls main(word, args) when the first word is not a script. A command `crun NAME` is the
-- file lua/crun/command/NAME.lua, which returns a function(args). Results go to standard output,
-- talk to standard error; --json makes a listing one JSON text. Exit codes: `crun help exit`.
local crun = require "crun"
local help = require "crun.help"
local options = require "crun.options"
local runs = require "crun.runs"
local cio = crun.io

local M = {}

local BAD_ARGUMENT <const> = 2

--- Ends the program with a message and exit code 2.
function M.refuse(text, ...)
  io.stderr:write("crun: ", select("#", ...) > 0 and text:format(...) or text, "\n")
  crun.exit(BAD_ARGUMENT)
end

--- Flags and values of a command: spec name -> true for a value, false for a flag. Returns the
-- words that are left (-1 is a word: a run) and the flags.
function M.parse(command, args, spec)
  local left, given, i = {}, {}, 1
  while i <= #args do
    local arg = args[i]
    local name, equals, value = arg:match("^%-%-?([%a][%w-]*)(=?)(.*)$")
    if not name then
      left[#left + 1] = arg
    elseif spec.help == nil and arg == "--help" then
      print((help.text(command)))
      crun.exit(0)
    else
      if spec[name] == nil then
        local near = options.nearest(name, options.sorted_keys(spec))
        M.refuse("%s: unknown option '%s'%s", command, arg, near and
          ("; did you mean '--%s'?"):format(near) or "")
      end
      if spec[name] then
        if equals == "" then
          i = i + 1
          value = args[i]
        end
        if not value then M.refuse("%s: %s needs a value", command, arg) end
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

--- Whether a listing shall be JSON: --json behind the command or before it.
function M.json(given) return given.json or crun.options.json end

--- The folder of the sweep that a word means: a folder, or a name in --out; nil when it is none.
function M.sweep_path(word)
  for _, path in ipairs { word, runs.out() .. "/" .. word } do
    if cio.exists(path .. "/sweep.json") then return (path:gsub("(.)/+$", "%1")) end
  end
end

-- the runs of that name in the sweeps of --out
local function find_in_sweeps(word)
  local found, out = {}, runs.out()
  if word:find "^%-" or not cio.is_dir(out) then return found end
  for _, name in ipairs((cio.list(out))) do
    if cio.exists(out .. "/" .. name .. "/sweep.json") then
      found[#found + 1] = runs.find(word, out .. "/" .. name)
    end
  end
  return found
end

--- The run that a word means, in --out or in one of its sweeps; ends the program where there is
-- none.
function M.one_run(command, word)
  if not word then
    M.refuse("%s needs a run: a folder, a name, or -1 for the newest; `crun runs` lists them",
      command)
  end
  local run, why = runs.find(word)
  if run then return run end
  local found = find_in_sweeps(word)
  if #found == 1 then return found[1] end
  M.refuse("%s: %s", command, #found > 1 and ("'%s' is in several sweeps: %s and %s"):format(word,
    found[1].path, found[2].path) or why)
end

local function help_command(args)
  local text, why = help.text(args[1], args[2])
  if not text then M.refuse("help: %s", why) end
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
  version = version_command,
  doctor = function() return require("crun.doctor").run() end,
  types = function() return require("crun.types").run() end,
  bench = function(args) return require("crun.bench").run(args) end,
  check = function(args) return require("crun.check").run(args) end,
  docs = function(args) return require("crun.docs").run(args) end,
}

-- the verbs of the container runtime that is called crun too
local CONTAINER <const> = {}
for word in ([[create start state spec kill delete exec list ps pause unpause update checkpoint
    restore --root --systemd-cgroup --log-format --log --cgroup-manager]]):gmatch "%S+" do
  CONTAINER[word] = true
end

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

-- all commands there are
local function commands()
  local folder, names = crun.library .. "/crun/command", options.sorted_keys(COMMANDS)
  for _, name in ipairs((cio.list(folder))) do names[#names + 1] = name:match("^(.*)%.lua$") end
  return names
end

--- Runs a command; called by main.c with the first word and those after it.
function M.main(word, args)
  local command = COMMANDS[word]
  if command then return command(args) end
  if word:find "^%a[%w_]*$" and cio.exists(crun.library .. "/crun/command/" .. word .. ".lua") then
    return require("crun.command." .. word)(args)
  end
  if CONTAINER[word:match("^[^=]*")] then
    M.refuse("'%s' is for the container runtime that is called crun too; this is crun, the " ..
      "experiment runtime", word)
  end
  local near = options.nearest(word, commands())
  local hints = { near and ("the command '%s'"):format(near) }
  for _, script in ipairs(near_scripts(word)) do
    hints[#hints + 1] = ("the script %s"):format(script)
  end
  M.refuse("there is no command or script '%s'%s", word, #hints > 0 and "; did you mean " ..
    table.concat(hints, " or ") .. "?" or "; `crun help` lists the commands")
end

M.help, M.describe = help.text, help.describe

return M
