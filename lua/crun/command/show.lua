--- crun show RUN: settings and where they come from, results, files
local crun = require "crun"
local cli = require "crun.cli"
local folder = require "crun.compare.folder"
local config = require "crun.config"
local notes = require "crun.notes"
local options = require "crun.options"
local runs = require "crun.runs"
local ui = require "crun.ui"
local cio = crun.io

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

return function(args)
  local left, given = cli.parse("show", args, { json = false, out = true })
  local run = cli.one_run("show", left[1])
  local record, settings, summary = run.record, runs.config(run), runs.summary(run)
  if cli.json(given) then
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
  if record.sweep then
    facts[#facts + 1] = { "sweep", ("%s, trial %s of the %s phase, variant %s"):format(record.sweep,
      record.trial or "?", record.phase or "?", record.variant or "?") }
  end
  local said = notes.read(run)
  if #said.tags > 0 then facts[#facts + 1] = { "tags", table.concat(said.tags, ", ") } end
  for _, note in ipairs(said.notes) do facts[#facts + 1] = { "note", note.text } end
  for _, warning in ipairs(record.warnings or {}) do
    facts[#facts + 1] = { "warning", ("step %s: %s; what usually helps: %s"):format(warning.step,
      warning.text, warning.help) }
  end
  print(ui.pairs(facts))
  local rows, values = {}, folder.flat(settings.settings)
  for _, key in ipairs(options.sorted_keys(values)) do
    local origin = settings.origin[key]
    if origin then
      local value = config.value_text(values[key])
      if value == "" then value = '""' end
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
