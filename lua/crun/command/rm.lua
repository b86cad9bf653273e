--- crun rm RUN... [--yes]: removes run folders; asks first
--
-- A run that is running is left alone, and so is a run of a sweep: its sweep would miss it.
local crun = require "crun"
local cli = require "crun.cli"
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

return function(args)
  local words, given = cli.parse("rm", args, { yes = false, out = true })
  local list, total, seen = {}, 0, {}
  if #words == 0 then cli.one_run("rm") end
  for _, word in ipairs(words) do
    local run = cli.one_run("rm", word)
    if run.state == "running" then
      cli.refuse("rm: %s is being run by process %s", run.id, run.record.pid or "?")
    end
    if cio.exists(run.path .. "/../sweep.json") then
      cli.refuse("rm: %s belongs to a sweep, which would miss it; remove the sweep's folder as a " ..
        "whole", run.id)
    end
    if cio.kind(run.path) ~= "folder" then
      cli.refuse("rm: %s is a link; remove it by hand", run.path)
    end
    if not seen[run.path] then
      seen[run.path], list[#list + 1] = true, run
      local bytes = bytes_below(run.path)
      total = total + bytes
      io.stderr:write(("  %s  %s, %.1f MB\n"):format(run.path, run.state, bytes / 1e6))
    end
  end
  if not given.yes then
    if not cio.isatty(0) then
      cli.refuse("rm: asks before it removes; where nobody can answer, say --yes")
    end
    io.stderr:write(("remove %d %s, %.1f MB? [y/N] "):format(#list, #list == 1 and "run" or "runs",
      total / 1e6))
    local answer = (io.read "l" or ""):lower()
    if answer ~= "y" and answer ~= "yes" then return io.stderr:write "nothing was removed\n" end
  end
  for _, run in ipairs(list) do cio.remove_tree(run.path) end
  io.stderr:write(("removed %d %s\n"):format(#list, #list == 1 and "run" or "runs"))
end
