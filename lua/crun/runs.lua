--- runs.lua - run folders as a list: which there are, in which state, and which one a word means
--
-- runs/NAME-20261123-191500-7f3a/ holds run.json, config.json, metrics.jsonl, summary.json,
-- source/, checkpoints/, pictures/ and event files. The folder is all there is: delete it and the
-- run is gone.
local crun = require "crun"
local cio = crun.io
local provenance = require "crun.provenance"

local M = {}

--- The folder that holds the run folders.
function M.out() return crun.options and crun.options.out or "runs" end

local function read_json(path)
  local ok, value = pcall(function() return cio.json_decode(cio.read_file(path)) end)
  return ok and type(value) == "table" and value or nil
end

--- Of a run that says "running": whether its process is still there. Another machine's process
-- counts as there.
function M.state(record)
  if record.state ~= "running" then return record.state end
  if record.host == cio.hostname() and not provenance.is_alive(record.pid) then return "lost" end
  return "running"
end

--- One run folder as { path, id, record, state }, or nil: it is none.
function M.open(path)
  local record = read_json(path .. "/run.json")
  if not record then return end
  return { path = path, id = path:match("([^/]+)/*$"), record = record, state = M.state(record) }
end

function M.config(run) return read_json(run.path .. "/config.json") or
  { settings = {}, origin = {} } end
function M.summary(run) return read_json(run.path .. "/summary.json") or {} end

--- All runs of a folder, the newest first.
function M.list(out)
  out = out or M.out()
  local list = {}
  if not cio.is_dir(out) then return list end
  for _, name in ipairs(cio.list(out)) do
    list[#list + 1] = M.open(out .. "/" .. name)
  end
  table.sort(list, function(a, b)
    local ta, tb = a.record.started or 0, b.record.started or 0
    if ta ~= tb then return ta > tb end
    return a.id > b.id
  end)
  return list
end

--- The run that a word means: a folder, a name or how it begins, -1 for the newest, -2 for the one
-- before; or nil and why.
function M.find(word, out)
  if cio.is_dir(word) and word:find("/", 1, true) or cio.exists(word .. "/run.json") then
    local run = M.open((word:gsub("/+$", "")))
    if run then return run end
    return nil, ("%s is not a run folder: it has no run.json"):format(word)
  end
  local list = M.list(out)
  if #list == 0 then return nil, ("there is no run in %s/"):format(out or M.out()) end
  local back = word:match("^%-(%d+)$")
  if back then
    local run = list[tonumber(back)]
    return run, not run and ("there are %d runs in %s/, so -1 to -%d are known"):format(#list,
      out or M.out(), #list)
      or nil
  end
  local fits, ids = {}, {}
  for _, run in ipairs(list) do
    if run.id == word then return run end
    if run.id:sub(1, #word) == word or run.id:sub(-#word) == word then fits[#fits + 1] = run end
    ids[#ids + 1] = run.id
  end
  if #fits == 1 then return fits[1] end
  if #fits > 1 then
    return nil, ("'%s' fits %d runs: %s and %s%s"):format(word, #fits, fits[1].id, fits[2].id,
      #fits > 2 and ", ..." or "")
  end
  local near = require("crun.options").nearest(word, ids)
  return nil, ("there is no run '%s' in %s/%s"):format(word, out or M.out(),
    near and ("; did you mean '%s'?"):format(near) or "; `crun runs` lists them")
end

return M
