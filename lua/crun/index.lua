--- index.lua - crun.db, the index of all runs of a folder, made from the run folders
--
--     local idx <close> = index.open "runs"
--     idx:update()                                     -- what has changed since the last time
--     for _, run in ipairs(idx:list()) do ... end
--
-- The folders are the truth. Runs never write to the index: they append to their own
-- metrics.jsonl, and whoever wants to read the index brings it up to date first, from the byte to
-- which each file was read the last time. So a run needs no database, no lock and no server, the
-- index may be deleted at any time, and an index that grew while runs were running holds what one
-- made from nothing holds (index.dump of both is equal).
--
-- What is read of a file ends with its last complete line: a line that is being written, or was cut
-- off by a kill, is read when it is complete. A complete line that is no JSON object is counted as
-- damaged. A resumed run cuts its file and appends again: the last bytes that were read are
-- compared, and if they have changed the run is read anew. NaN and infinities have no number in
-- SQL: their `kind` is 1 (NaN), 2 (Infinity), 3 (-Infinity), their value is null; of others it is 0.
local crun = require "crun"
local config = require "crun.config"
local ingest = require "crun.index.ingest"
local options = require "crun.options"
local runs = require "crun.runs"
local cio = crun.io

local M = {}

local VERSION <const> = 1
local SCHEMA <const> = [[
CREATE TABLE run(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sweep TEXT, name TEXT,
  state TEXT, script TEXT, seed INTEGER, started REAL, ended REAL, record TEXT NOT NULL,
  notes TEXT NOT NULL, stamp TEXT NOT NULL, bytes INTEGER NOT NULL, tail TEXT NOT NULL,
  damaged INTEGER NOT NULL) STRICT;
CREATE TABLE param(run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, key TEXT NOT NULL,
  text TEXT NOT NULL, number REAL, PRIMARY KEY(run, key)) STRICT, WITHOUT ROWID;
CREATE TABLE summary(run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, key TEXT NOT NULL,
  text TEXT NOT NULL, number REAL, PRIMARY KEY(run, key)) STRICT, WITHOUT ROWID;
CREATE TABLE tag(run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, tag TEXT NOT NULL,
  PRIMARY KEY(run, tag)) STRICT, WITHOUT ROWID;
CREATE TABLE metric_key(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE metric(run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
  key INTEGER NOT NULL REFERENCES metric_key(id), at INTEGER NOT NULL, step INTEGER, epoch INTEGER,
  time REAL, value REAL, kind INTEGER NOT NULL, PRIMARY KEY(run, key, at)) STRICT, WITHOUT ROWID;
CREATE INDEX param_key ON param(key, number);
CREATE INDEX tag_tag ON tag(tag);
]]

local Index = { __name = "crun.index" }
Index.__index = Index

-- ---- opening ------------------------------------------------------------------------------------

local inside = setmetatable({}, { __mode = "k" })

-- one transaction, or a part of the one that is open
local function transaction(db, f, ...)
  if inside[db] then return f(...) end
  db:script "BEGIN IMMEDIATE"
  inside[db] = true
  local ok, message = pcall(f, ...)
  inside[db] = nil
  if not ok then
    pcall(db.script, db, "ROLLBACK")
    error(message, 0)
  end
  db:script "COMMIT"
end

-- makes the tables where there are none; refuses those of a newer crun
local function prepare(db, path)
  local version = db:query "PRAGMA user_version"[1].user_version
  if version > VERSION then
    error(("%s was written by a newer crun (its version is %d, this one knows %d); `crun db " ..
      "rebuild` makes it anew"):format(path, version, VERSION), 0)
  end
  transaction(db, function()
    if db:query "PRAGMA user_version"[1].user_version == VERSION then return end
    db:script(SCHEMA)
    db:script("PRAGMA user_version = " .. VERSION)
  end)
end

local function in_memory(out, why)
  local db = assert(crun.db.open ":memory:")
  prepare(db, "the index")
  return setmetatable({ db = db, out = out, note = why, keys = {} }, Index)
end

local function remove_files(path)
  for _, ending in ipairs { "", "-wal", "-shm" } do
    if cio.is_file(path .. ending) then cio.remove(path .. ending) end
  end
end

local function damaged(message)
  return message:find("not a database", 1, true) or message:find("malformed", 1, true)
end

--- Opens the index of a folder of runs, or makes it. Where it cannot be written (a read-only
-- folder, one of a newer crun), the index is held in memory and idx.note says why; one that is damaged is
-- made anew. path: another place for it; ":memory:" for none.
function M.open(out, path)
  out = out or runs.out()
  if path == ":memory:" then return in_memory(out) end
  path = path or out .. "/crun.db"
  local db, why = crun.db.open(path)
  local ok = db ~= nil
  if db then ok, why = pcall(prepare, db, path) end
  if ok then return setmetatable({ db = db, out = out, path = path, keys = {} }, Index) end
  if db then db:close() end
  why = tostring(why)
  if damaged(why) then
    remove_files(path)
    local again = M.open(out, path)
    again.note = again.note or path .. " was damaged: it was made anew from the run folders"
    return again
  end
  return in_memory(out, ("the index is not kept (%s)"):format(why))
end

function Index:close() self.db:close() end
Index.__close = Index.close

-- ---- the folders -------------------------------------------------------------------------------

-- the run folders of `out`, those of sweeps as SWEEP/RUN; and what cannot be read
local function folders(out)
  local found, problems = {}, {}
  local function add(path)
    local ok = ingest.decode(ingest.text_of(out .. "/" .. path .. "/run.json"))
    if ok then found[#found + 1] = path
    else problems[#problems + 1] = ("%s/%s/run.json cannot be read"):format(out, path) end
  end
  for _, name in ipairs(cio.is_dir(out) and cio.list(out) or {}) do
    local path = out .. "/" .. name
    if cio.is_file(path .. "/run.json") then add(name)
    elseif cio.is_file(path .. "/sweep.json") then
      for _, inner in ipairs((cio.list(path))) do
        if cio.is_file(path .. "/" .. inner .. "/run.json") then add(name .. "/" .. inner) end
      end
    end
  end
  return found, problems
end

--- Brings the index up to date with the folders. Returns the list of what cannot be read.
function Index:update()
  local db, there = self.db, {}
  local found, problems = folders(self.out)
  for _, path in ipairs(found) do
    there[path] = true
    local texts, stamp = ingest.look(self.out .. "/" .. path)
    local known = db:query(ingest.KNOWN, path)[1]
    local _, bytes = cio.kind(self.out .. "/" .. path .. "/metrics.jsonl")
    if not known or known.stamp ~= stamp or known.bytes ~= (bytes or 0) then
      transaction(db, ingest.run, self, path, texts, stamp)
    end
  end
  for _, row in ipairs(db:query "SELECT path FROM run") do
    if not there[row.path] then db:run("DELETE FROM run WHERE path = ?", row.path) end
  end
  return problems
end

--- An index brought up to date: the one given (that of `out` when left out), or, where that cannot
-- be written (no space, no right), one held in memory with a note. Returns it and what update
-- returns.
function M.current(idx, out)
  idx = idx or M.open(out)
  local ok, problems = pcall(idx.update, idx)
  if ok then return idx, problems end
  if not idx.path then error(problems, 0) end
  idx:close()
  local other = in_memory(idx.out, ("the index is not kept (%s)"):format(problems))
  return other, other:update()
end

--- Empties the index and fills it from the folders, for readers at one moment; one that is damaged
-- or of a newer crun is replaced. Returns what update returns, or nil and why it cannot be.
function M.rebuild(out)
  out = out or runs.out()
  local idx = M.open(out)
  if not idx.path then                                 -- of a newer crun, or not to be written
    idx:close()
    pcall(remove_files, out .. "/crun.db")
    idx = M.open(out)
    if not idx.path then return nil, idx.note end
  end
  local problems
  local ok, why = pcall(transaction, idx.db, function()
    idx.db:script "DELETE FROM run; DELETE FROM metric_key"
    idx.keys = {}
    problems = idx:update()
  end)
  idx:close()
  if ok then return problems end
  if not damaged(tostring(why)) then return nil, why end
  remove_files(out .. "/crun.db")
  return M.rebuild(out)
end

-- ---- asking -------------------------------------------------------------------------------------

--- All runs, the newest first: { id, path, sweep, record, state, settings (as texts), summary
-- (numbers, or texts), tags, notes, damaged }.
function Index:list()
  local list, by_id = {}, {}
  self.db:script "BEGIN"                               -- all of one moment
  local _ <close> = setmetatable({}, { __close = function() self.db:script "COMMIT" end })
  for _, row in ipairs(self.db:query("SELECT id, path, sweep, record, notes, damaged FROM run " ..
      "ORDER BY started DESC, path DESC")) do
    local record = ingest.decode(row.record) or {}
    list[#list + 1] = { id = row.path:match "[^/]*$", path = self.out .. "/" .. row.path,
      sweep = row.sweep, record = record, state = runs.state(record), settings = {}, summary = {},
      tags = {}, notes = ingest.decode(row.notes) or {}, damaged = row.damaged }
    by_id[row.id] = list[#list]
  end
  for id, key, text in self.db:rows "SELECT run, key, text FROM param" do
    by_id[id].settings[key] = text
  end
  for id, key, text, number in self.db:rows "SELECT run, key, text, number FROM summary" do
    by_id[id].summary[key] = number or text
  end
  for id, tag in self.db:rows "SELECT run, tag FROM tag ORDER BY tag" do
    table.insert(by_id[id].tags, tag)
  end
  return list
end

--- All that the index holds as lines of text, whichever order it was filled in: two indexes of one
-- folder are equal when their dumps are. f: called with each line instead of collecting them.
function M.dump(idx, f)
  local lines = {}
  f = f or function(line) lines[#lines + 1] = line end
  local function part(name, sql)
    for _, row in ipairs(idx.db:query(sql)) do
      local cells = {}
      for _, key in ipairs(options.sorted_keys(row)) do
        cells[#cells + 1] = ("%s=%s"):format(key, config.value_text(row[key]))
      end
      f(name .. " " .. table.concat(cells, " "))
    end
  end
  part("run", "SELECT path, sweep, name, state, script, seed, started, ended, record, notes, stamp, " ..
    "bytes, tail, damaged FROM run ORDER BY path")
  for _, name in ipairs { "param", "summary" } do
    part(name, ("SELECT path, key, text, number FROM %s JOIN run ON run.id = run ORDER BY path, key")
      :format(name))
  end
  part("tag", "SELECT path, tag FROM tag JOIN run ON run.id = run ORDER BY path, tag")
  for path, key, at, step, epoch, time, value, kind in idx.db:rows("SELECT path, k.name, at, " ..
      "step, epoch, time, value, kind FROM metric JOIN run ON run.id = run JOIN metric_key AS k " ..
      "ON k.id = key ORDER BY path, k.name, at") do
    f(("metric %s %s %d %s %s %s %s %d"):format(path, key, at, step, epoch, time, value, kind))
  end
  return lines
end

--- How many rows of the log the index holds.
function Index:count() return self.db:query "SELECT count(*) AS n FROM metric"[1].n end

return M
