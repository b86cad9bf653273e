--- crun rm RUN|SWEEP... [--yes]: removes run folders, or sweeps with all their runs; asks first
--
-- What is running is left alone, and so is a single run of a sweep: the sweep would miss it.
local crun = require "crun"
local cli = require "crun.cli"
local runs = require "crun.runs"
local cio = crun.io

local function bytes_below(path)
  local sum = 0
  local names, kinds = cio.list(path)
  for _, name in ipairs(names) do
    local at = path .. "/" .. name
    if kinds[name] == "folder" then sum = sum + bytes_below(at)
    elseif kinds[name] == "file" then sum = sum + (select(2, cio.kind(at)) or 0) end
  end
  return sum
end

local function refuse_running(run)
  if run.state == "running" then
    cli.refuse("rm: %s is being run by process %s", run.id, run.record.pid or "?")
  end
end

-- a sweep that nobody runs, in words
local function sweep_words(path)
  local lock = path .. "/lock"
  if cio.exists(lock) then
    local held, holder = crun.process.lock(lock)
    if not held then cli.refuse("rm: %s is being run by %s", path, holder) end
    held:release()
  end
  local list = runs.list(path)
  for _, run in ipairs(list) do refuse_running(run) end
  return ("sweep of %d runs"):format(#list)
end

local function run_words(run)
  refuse_running(run)
  if cio.exists(run.path .. "/../sweep.json") then
    cli.refuse("rm: %s belongs to a sweep, which would miss it; crun rm takes the whole sweep",
      run.id)
  end
  return run.state
end

return function(args)
  local words, given = cli.parse("rm", args, { yes = false, out = true })
  local list, total, seen = {}, 0, {}
  if #words == 0 then cli.one_run("rm") end
  for _, word in ipairs(words) do
    local about
    local path = cli.sweep_path(word)
    if path then about = sweep_words(path)
    else
      local run = cli.one_run("rm", word)
      path, about = run.path, run_words(run)
    end
    if cio.kind(path) ~= "folder" then cli.refuse("rm: %s is a link; remove it by hand", path) end
    if not seen[path] then
      seen[path], list[#list + 1] = true, path
      local bytes = bytes_below(path)
      total = total + bytes
      io.stderr:write(("  %s  %s, %.1f MB\n"):format(path, about, bytes / 1e6))
    end
  end
  local what = ("%d %s"):format(#list, #list == 1 and "folder" or "folders")
  if not given.yes then
    if not cio.isatty(0) then
      cli.refuse("rm: asks before it removes; where nobody can answer, say --yes")
    end
    io.stderr:write(("remove %s, %.1f MB? [y/N] "):format(what, total / 1e6))
    local answer = (io.read "l" or ""):lower()
    if answer ~= "y" and answer ~= "yes" then return io.stderr:write "nothing was removed\n" end
  end
  for _, path in ipairs(list) do cio.remove_tree(path) end
  io.stderr:write(("removed %s\n"):format(what))
end
