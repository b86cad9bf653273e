--- notes.lua - tags and notes that people give to runs: notes.json in the run folder
--
-- run.json has one writer, the run; what is said about a run afterwards, or while it is running,
-- goes into this file: { "tags": ["paper"], "notes": [{ "time": 1795460696, "text": "..." }] }. A
-- run begun with --tag or --note starts with these.
local crun = require "crun"
local cio = crun.io

local M = {}

local EDISK <const> = 74

--- { tags, notes } of a run as runs.open gives it.
function M.read(run)
  local path = run.path .. "/notes.json"
  local ok, found = pcall(function() return cio.json_decode(cio.read_file(path)) end)
  if ok and type(found) == "table" then
    return { tags = found.tags or {}, notes = found.notes or {} }
  end
  local record = run.record
  return { tags = { record.tag }, notes = { record.note and { text = record.note,
    time = record.started } } }
end

--- Writes them down; ends with exit code 74 when the disk refuses.
function M.write(run, said)
  table.sort(said.tags)
  local text = cio.json_encode { tags = cio.json_array(said.tags),
    notes = cio.json_array(said.notes) } .. "\n"
  local ok, why = pcall(cio.write_file, run.path .. "/notes.json", text)
  if not ok then crun.fail("notes", (tostring(why):gsub("^.-write_file: ", "")), EDISK) end
end

return M
