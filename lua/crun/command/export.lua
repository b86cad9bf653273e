--- crun export SWEEP|RUN... --format csv|json|latex|tensorboard [-o FILE]
--
-- Of a sweep all its runs, those of the tuning too; latex prints its league table. csv, json and
-- latex go to standard output or to -o; tensorboard makes the folder -o (tensorboard/).
local crun = require "crun"
local cli = require "crun.cli"
local compare = require "crun.compare"
local export = require "crun.export"
local runs = require "crun.runs"
local cio = crun.io

local FORMATS <const> = { csv = true, json = true, latex = true, tensorboard = true }

-- the runs that the words mean, oldest first, and the sweep when there is one
local function find(words)
  local list, sweep = {}, nil
  for _, word in ipairs(words) do
    local path = cli.sweep_path(word)
    if path then
      sweep = path
      table.move(runs.list(path), 1, #runs.list(path), #list + 1, list)
    else
      list[#list + 1] = cli.one_run("export", word)
    end
  end
  table.sort(list, function(a, b)
    local ta, tb = a.record.started or 0, b.record.started or 0
    if ta ~= tb then return ta < tb end
    return a.id < b.id
  end)
  return list, sweep
end

return function(args)
  local words, given = cli.parse("export", args, { format = true, o = true, out = true })
  if #words == 0 then cli.refuse("export needs a sweep, or runs; `crun runs` lists them") end
  local format = given.format or "csv"
  if not FORMATS[format] then
    cli.refuse("export: --format is csv, json, latex or tensorboard, got '%s'", format)
  end
  local list, sweep = find(words)
  if format == "tensorboard" then
    local to = given.o or "tensorboard"
    local n = export.tensorboard(list, to)
    return io.stderr:write(("%d %s in %s/; look at them with: tensorboard --logdir %s\n"):format(n,
      n == 1 and "run" or "runs", to, to))
  end
  local text
  if format == "latex" then
    if sweep and #words > 1 then cli.refuse("export: latex takes one sweep, or runs") end
    text = export.latex(sweep and compare.collect(sweep) or compare.of_runs(list))
  else
    text = export[format](list)
  end
  if given.o then cio.write_file(given.o, text) else io.write(text) end
end
