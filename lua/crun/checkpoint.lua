--- checkpoint.lua - the state of several objects on disk, so that it is always there whole
--
-- A checkpoint is a pair: NAME.safetensors with every tensor and NAME.json with everything else and
-- the SHA-256 of the first. An object takes part by two methods: state() returns a value made of
-- tables, numbers, texts, booleans and tensors; load(state), or restore(state), takes one back. A
-- bare tensor takes part as it is.
--
-- Saving writes the pair NAME.next.* (each file: temporary, fsync, rename), then renames NAME.* to
-- NAME.previous.* and NAME.next.* to NAME.*. A stop between any two of these steps leaves at least
-- one json whose SHA-256 is that of some .safetensors beside it: that, not the file name, is what
-- makes a pair, and find() takes the newest. The bytes of NAME.safetensors depend on the tensors
-- only, so equal weights are equal files.
local crun = require "crun"
local cio = crun.io
local options = require "crun.options"

local M = {}

local STAGES <const> = { "", ".next", ".previous" }

local is_tensor <const> = crun.is_tensor

-- ---- a state as JSON: tensors by name, floats that JSON lacks, tables that are no lists ---------

-- Keys of objects: texts as they are ("#" doubled in front), whole numbers as "#7".
local function key_text(key)
  if math.type(key) == "integer" then return "#" .. key end
  assert(type(key) == "string", "a key of a state must be a text or a whole number")
  return key:sub(1, 1) == "#" and "#" .. key or key
end

local function text_key(text)
  if text:sub(1, 2) == "##" then return text:sub(2) end
  if text:sub(1, 1) == "#" then return math.tointeger(tonumber(text:sub(2))) end
  return text
end

-- Depth is bounded by the nesting of the objects, which people write by hand.
local function encode(value, path, tensors)
  local kind = type(value)
  if is_tensor(value) then
    tensors[path] = value:detach():contiguous()
    return { ["$tensor"] = path }
  elseif kind == "number" and (value ~= value or math.abs(value) == math.huge) then
    return { ["$float"] = value ~= value and "nan" or value > 0 and "inf" or "-inf" }
  elseif kind == "table" then
    local t = {}
    for key, v in next, value do
      local name = key_text(key)
      t[name] = encode(v, path .. "." .. name:gsub("^#", ""), tensors)
    end
    return next(t) == nil and { ["$empty"] = true } or t
  elseif kind == "nil" or kind == "boolean" or kind == "number" or kind == "string" then
    return value
  end
  error(("the state of %s holds %s; it may hold tables, numbers, texts, true/false and tensors")
    :format(path, options.say(value)), 0)
end

local FLOATS <const> = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }

local function decode(value, tensors)
  if type(value) ~= "table" then return value end
  if value["$tensor"] then return assert(tensors[value["$tensor"]], "a tensor is missing") end
  if value["$float"] then return FLOATS[value["$float"]] end
  local t = {}
  if value["$empty"] then return t end
  for name, v in pairs(value) do t[text_key(name)] = decode(v, tensors) end
  return t
end

local function state_of(object) return is_tensor(object) and object or object:state() end

-- ---- writing ------------------------------------------------------------------------------------

-- After a stop in the middle of a save, one half may bear another name already.
local function rename_pair(from, to)
  for _, ending in ipairs { ".safetensors", ".json" } do
    if cio.exists(from .. ending) then cio.rename(from .. ending, to .. ending) end
  end
end

-- The first tensor that holds a value that is no number, or nil.
local function first_unhealthy(tensors)
  local _ <close> = crun.no_grad()
  for _, name in ipairs(options.sorted_keys(tensors)) do
    local t = tensors[name]
    if t:dtype():find("^float") and t:numel() > 0 then
      local sum = t:sum():item()
      if sum - sum ~= 0 then return name end
    end
  end
end

--- Writes the objects (name -> object) and counters (a plain table) as checkpoint `name` of folder
-- `dir`. opts.previous keeps the one before it as NAME.previous.*. Returns true; or nil, what is
-- wrong and of which kind: "unhealthy" (a NaN or Inf in a tensor: nothing was written) or "write"
-- (the disk refused: what was there is whole).
function M.save(dir, name, objects, counters, opts)
  local tensors, states = {}, {}
  for key, object in pairs(objects) do states[key] = encode(state_of(object), key, tensors) end
  local sick = first_unhealthy(tensors)
  if sick then return nil, sick, "unhealthy" end

  local at = dir .. "/" .. name
  local next_at = at .. ".next"
  local ok, message = pcall(function()
    cio.mkdir(dir)
    cio.write_safetensors(next_at .. ".safetensors", tensors)
    cio.write_file(next_at .. ".json", cio.json_encode {
      format = 1, crun = crun.version, precision = crun.precision,
      sha256 = cio.sha256_file(next_at .. ".safetensors"),
      counters = encode(counters, "counters", {}), states = states,
    } .. "\n")
  end)
  if not ok then
    for _, ending in ipairs { ".safetensors", ".json" } do pcall(cio.remove, next_at .. ending) end
    return nil, tostring(message), "write"
  end
  ok, message = pcall(function()
    if opts and opts.previous then rename_pair(at, at .. ".previous") end
    rename_pair(next_at, at)
  end)
  if not ok then return nil, tostring(message), "write" end
  return true
end

-- ---- reading ------------------------------------------------------------------------------------

local function read_json(path)
  local ok, record = pcall(function() return cio.json_decode(cio.read_file(path)) end)
  return ok and type(record) == "table" and record.format == 1 and record or nil
end

--- The newest whole checkpoint `name` of a folder: { counters, states, path, json, sha256,
-- precision }, or nil and why.
function M.find(dir, name)
  local sums, best, seen = {}, nil, false
  for _, stage in ipairs(STAGES) do
    local path = ("%s/%s%s.safetensors"):format(dir, name, stage)
    local ok, sum = pcall(cio.sha256_file, path)
    if ok then sums[sum], seen = sums[sum] or path, true end
  end
  for _, stage in ipairs(STAGES) do
    local json = ("%s/%s%s.json"):format(dir, name, stage)
    local record = read_json(json)
    if record and sums[record.sha256] then
      record.counters = decode(record.counters, {})
      record.path, record.json = sums[record.sha256], json
      local saves = record.counters.saves or 0
      if not best or saves > (best.counters.saves or 0) then best = record end
    end
  end
  if best then return best end
  return nil, seen and ("no whole checkpoint '%s' in %s: the SHA-256 of its files do not agree"):format(name, dir)
    or ("no checkpoint '%s' in %s"):format(name, dir)
end

--- Puts a found checkpoint back into objects (name -> object). Raises with what does not fit.
function M.load(record, objects)
  if record.precision ~= crun.precision then
    error(("%s was written in %s, this process computes in %s%s"):format(record.path,
      record.precision,
      crun.precision, record.precision == "float64" and "; add --double" or "; leave out --double"),
        0)
  end
  local _ <close> = crun.no_grad()
  record.tensors = record.tensors or cio.read_safetensors(record.path)
  for key, object in pairs(objects) do
    local state = record.states[key]
    if state == nil then
      error(("%s holds nothing named '%s'; it holds %s"):format(record.json, key,
        table.concat(options.sorted_keys(record.states), ", ")), 0)
    end
    state = decode(state, record.tensors)
    if is_tensor(object) then object:copy_(state)
    elseif object.load then object:load(state)
    else object:restore(state) end
  end
end

return M
