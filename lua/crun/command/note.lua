--- crun note RUN [TEXT...]: adds a note to a run; without TEXT shows its notes
local crun = require "crun"
local cli = require "crun.cli"
local notes = require "crun.notes"

return function(args)
  local words = cli.parse("note", args, { out = true })
  local run = cli.one_run("note", table.remove(words, 1))
  local said = notes.read(run)
  if #words > 0 then
    said.notes[#said.notes + 1] = { time = crun.io.time(), text = table.concat(words, " ") }
    notes.write(run, said)
  end
  for _, note in ipairs(said.notes) do
    print(("%s  %s"):format(note.time and os.date("%Y-%m-%d %H:%M", math.floor(note.time)) or "-",
      note.text))
  end
  if #said.notes == 0 then io.stderr:write(run.id, " has no notes\n") end
end
