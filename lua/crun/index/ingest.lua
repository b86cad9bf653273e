--- index/ingest.lua - reads a run folder into the index, from where it got to the last time
--
-- The small files are read whole when their stamp has changed; metrics.jsonl from the byte after
-- its last line that was read. All of a run is written in one transaction, by index.lua.
local crun = require "crun"
local config = require "crun.config"
local folder = require "crun.compare.folder"
local notes = require "crun.notes"
local cio = crun.io

local M = {}

--- The bytes of a file, none where there is no file.
function M.text_of(path) return cio.is_file(path) and cio.read_file(path) or "" end

--- The table in a JSON text, or nil.
function M.decode(text)
  local ok, value = pcall(cio.json_decode, text)
  return ok and type(value) == "table" and value or nil
end

--- The small files of a run, and a stamp that changes when any of them does.
function M.look(path)
  local texts, parts = {}, {}
  for i, name in ipairs { "run.json", "config.json", "summary.json", "notes.json" } do
    texts[i] = M.text_of(path .. "/" .. name)
    parts[i] = #texts[i] .. ":" .. texts[i]
  end
  return texts, cio.sha256(table.concat(parts))
end

local KINDS <const> = { NaN = 1, Infinity = 2, ["-Infinity"] = 3 }
local PLACE <const> = { step = true, s = true, epoch = true, e = true, time = true, t = true }
local TAIL_BYTES <const> = 256

local function whole(x) return type(x) == "number" and math.tointeger(x) or nil end
local function float(x) return type(x) == "number" and x + 0.0 or nil end
local function text_or_nil(x) return type(x) == "string" and x or nil end

local function key_of(idx, name)
  local id = idx.keys[name]
  if id then return id end
  idx.db:run("INSERT OR IGNORE INTO metric_key(name) VALUES(?)", name)
  id = idx.db:query("SELECT id FROM metric_key WHERE name = ?", name)[1].id
  idx.keys[name] = id
  return id
end

-- Lines of `text` that are complete; the first begins at byte `at` of the file. Returns the number
-- of bytes they fill, and of damaged lines.
local function read_lines(idx, run, text, at)
  local bad, from = 0, 1
  while true do
    local stop = text:find("\n", from, true)
    if not stop then return from - 1, bad end
    local line = M.decode(text:sub(from, stop - 1))
    if not line or #line > 0 then bad = bad + 1 else
      local step, epoch = whole(line.step or line.s), whole(line.epoch or line.e)
      local time = float(line.time or line.t)
      for name, value in pairs(line) do
        local kind = KINDS[value] or type(value) == "number" and 0
        if kind and not PLACE[name] then
          idx.db:run("INSERT INTO metric VALUES(?, ?, ?, ?, ?, ?, ?, ?)", run, key_of(idx, name),
            at + from - 1, step, epoch, time, kind == 0 and value + 0.0 or nil, kind)
        end
      end
    end
    from = stop + 1
  end
end

-- Reads on in metrics.jsonl from where the index has got to.
local function read_metrics(idx, id, path, known)
  local file = io.open(path .. "/metrics.jsonl", "rb")
  local bytes, tail, bad = known.bytes, known.tail, known.damaged
  local function tail_at(place)
    local first = math.max(0, place - TAIL_BYTES)
    file:seek("set", first)
    local text = place > first and file:read(place - first) or ""
    return #text == place - first and cio.sha256(text) or "?"
  end
  local changed = not file or bytes > 0 and tail_at(bytes) ~= tail
  if changed and bytes > 0 then
    idx.db:run("DELETE FROM metric WHERE run = ?", id)
    bytes, tail, bad = 0, "", 0
  end
  if file then
    file:seek("set", bytes)
    local read, more_bad = read_lines(idx, id, file:read "a" or "", bytes)
    bytes, bad = bytes + read, bad + more_bad
    if read > 0 then tail = tail_at(bytes) end
    file:close()
  end
  idx.db:run("UPDATE run SET bytes = ?, tail = ?, damaged = ? WHERE id = ?", bytes, tail, bad, id)
end

-- key -> value of a table as rows of param or summary
local function write_values(db, name, id, values)
  db:run("DELETE FROM " .. name .. " WHERE run = ?", id)
  for key, value in pairs(values) do
    local number = float(value)
    if number and number ~= number then number = nil end
    db:run("INSERT INTO " .. name .. " VALUES(?, ?, ?, ?)", id, key, config.value_text(value),
      number)
  end
end

--- How far the index has got with a run.
M.KNOWN = "SELECT id, stamp, bytes, tail, damaged FROM run WHERE path = ?"

--- Writes what has changed of the run OUT/path.
function M.run(idx, path, texts, stamp)
  local db, full = idx.db, idx.out .. "/" .. path
  idx.keys = {}                                        -- those of a transaction that failed are none
  local record = M.decode(texts[1])
  local known = db:query(M.KNOWN, path)[1]
  if not known then
    db:run("INSERT INTO run(path, record, notes, stamp, bytes, tail, damaged) " ..
      "VALUES(?, '', '', '', 0, '', 0)", path)
    known = db:query(M.KNOWN, path)[1]
  end
  if known.stamp ~= stamp then
    local said = notes.read { path = full, record = record }
    db:run("UPDATE run SET sweep = ?, name = ?, state = ?, script = ?, seed = ?, started = ?, " ..
      "ended = ?, record = ?, notes = ?, stamp = ? WHERE id = ?", path:match "^(.*)/[^/]*$",
      path:match "[^/]*$", text_or_nil(record.state), text_or_nil(record.script),
      whole(record.seed), float(record.started), float(record.ended), texts[1], cio.json_encode(cio.json_array(said.notes)), stamp, known.id)
    write_values(db, "param", known.id,
      folder.flat((M.decode(texts[2]) or {}).settings or {}))
    write_values(db, "summary", known.id, M.decode(texts[3]) or {})
    db:run("DELETE FROM tag WHERE run = ?", known.id)
    for _, tag in ipairs(said.tags) do
      db:run("INSERT OR IGNORE INTO tag VALUES(?, ?)", known.id, tostring(tag))
    end
  end
  read_metrics(idx, known.id, full, known)
end

return M
