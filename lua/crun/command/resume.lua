--- crun resume RUN: go on with a stopped run: its own script, its settings, the same bits
local crun = require "crun"
local cli = require "crun.cli"
local provenance = require "crun.provenance"
local cio = crun.io

return function(args)
  local left, given = cli.parse("resume", args,
    { force = false, out = true, progress = true })
  local run = cli.one_run("resume", left[1])
  if left[2] then
    cli.refuse("resume: the settings are those of the run; '%s' cannot be changed", left[2])
  end
  if given.progress then crun.options.progress = given.progress end
  local record = run.record
  if run.state == "done" then
    return io.stderr:write(run.id, " is done: there is nothing to go on with\n")
  end
  if run.state == "running" then
    if record.host == cio.hostname() then
      cli.refuse("resume: %s is being run by process %d", run.id, record.pid or 0)
    elseif not given.force then
      cli.refuse("resume: %s says that process %d on %s runs it; if that is not so: crun resume " ..
        "--force %s", run.id, record.pid or 0, record.host or "?", run.path)
    end
    record.state = "lost"
    cio.write_file(run.path .. "/run.json", cio.json_encode(record) .. "\n")
  end
  if record.precision ~= crun.precision then
    cli.refuse("resume: %s computes in %s, this process in %s: %s", run.id, record.precision,
      crun.precision,
      record.precision == "float64" and ("crun --double resume %s"):format(run.path) or
        "leave out --double")
  end
  local name = (record.script or ""):match("[^/]*$")
  local path = run.path .. "/source/" .. name
  if name == "" or not cio.exists(path) then
    cli.refuse("resume: %s has no copy of its script", run.id)
  end
  if record.folder ~= cio.cwd() then
    io.stderr:write(("note: the run was begun in %s; relative paths in its settings now mean " ..
      "another place\n"):format(record.folder))
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
