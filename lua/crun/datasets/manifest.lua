--- manifest.lua - manifests found, read and held against the files of a folder
local crun = require "crun"
local options = require "crun.options"
local cio = crun.io

local M = {}

-- a name that stays in the folder it is put in
local function safe(name)
  return type(name) == "string" and name ~= "" and not name:find "[%c\\:]" and
    name:sub(1, 1) ~= "/" and not ("/" .. name .. "/"):find "/%.%.?/" and not name:find "//"
end

-- What is wrong with a manifest that was read from a file, or nil.
local function fault(m)
  local function sum(x) return x == nil or type(x) == "string" and x:find "^%x+$" and #x == 64 end
  local function count(x) return x == nil or math.type(x) == "integer" and x >= 0 end
  if type(m) ~= "table" or type(m.files) ~= "table" or #m.files == 0 then
    return "expected an object with a list of files"
  end
  for i, f in ipairs(m.files) do
    if type(f) ~= "table" or not safe(f.name) then
      return ("file %d: name must be a path within the folder"):format(i)
    end
    if f.url ~= nil and not (type(f.url) == "string" and f.url:find "^https?://%S+$") then
      return ("file %d: url must begin with https:// or http://"):format(i)
    end
    local c = f.content or {}
    if not sum(f.sha256) or not count(f.bytes) or type(c) ~= "table" or not sum(c.sha256) or
       not count(c.bytes) then
      return ("file %d: bytes must be a whole number, sha256 64 hexadecimal digits"):format(i)
    end
    if f.tree ~= nil or f.unpacks ~= nil and not safe(f.unpacks) then
      return ("file %d: unpacks must be a folder's name; tree is for built-in sets"):format(i)
    end
  end
end

--- The manifest that a word means: the name of a set, or the path of a .json file. NAME/FILE picks
-- one file of it. Returns the manifest with its name, or nil and why there is none.
function M.find(word)
  local built_in = require "crun.datasets.manifests"
  if word:find "%.json$" then
    local ok, m = pcall(function() return cio.json_decode(cio.read_file(word)) end)
    local wrong = not ok and tostring(m):match("^[^\n]*"):gsub("^%S+:%d+: ", "") or ok and fault(m)
    if wrong then return nil, ("%s: %s"):format(word, wrong) end
    m.name = m.name or word:match "([^/]*)%.json$"
    return m
  end
  local name, file = word:match "^([^/]*)/(.+)$"
  local m = built_in[name or word]
  if not m then
    local near = options.nearest(name or word, options.sorted_keys(built_in))
    return nil, ("there is no data set '%s'%s"):format(name or word, near and
      ("; did you mean '%s'?"):format(near) or "; `crun data list` lists them")
  end
  local copy = {}
  for key, value in pairs(m) do copy[key] = value end
  copy.name = name or word
  if file then
    copy.files = {}
    for _, f in ipairs(m.files) do
      if f.name == file then
        local one = {}
        for key, value in pairs(f) do one[key] = value end
        one.extra = nil
        copy.files[1] = one
      end
    end
    if #copy.files == 0 then return nil, ("%s has no file '%s'"):format(name, file) end
  end
  return copy
end

--- The folder of a set: the one given, or $CRUN_DATA/NAME, or data/NAME.
function M.folder(m, given)
  if given then return (given:gsub("(.)/+$", "%1")) end
  return (os.getenv "CRUN_DATA" or "data") .. "/" .. m.name
end

local function content_sum(path, bytes)
  local ok, content = pcall(function() return crun.archive.gunzip(cio.read_file(path)) end)
  if not ok then return nil, (tostring(content):gsub("^.-archive%.gunzip: ", "")) end
  if bytes and #content ~= bytes then
    return nil, ("holds %d bytes, expected %d"):format(#content, bytes)
  end
  return cio.sha256(content)
end

local function tree_paths(folder, under, pattern, found)
  local names, kinds = cio.list(folder .. under)
  for _, name in ipairs(names) do
    local path = (under .. "/" .. name):sub(2)
    if kinds[name] == "folder" then tree_paths(folder, under .. "/" .. name, pattern, found)
    elseif kinds[name] == "file" and path:find(pattern) then found[#found + 1] = path end
  end
  return found
end

local function check_tree(folder, tree)
  local paths = tree_paths(folder, "", tree.pattern, {})
  if #paths == 0 then return "missing" end
  if #paths ~= tree.count then
    return "damaged", ("%d files, expected %d"):format(#paths, tree.count)
  end
  table.sort(paths)
  local lines = {}
  for i, path in ipairs(paths) do
    lines[i] = ("%s  %s\n"):format(cio.sha256_file(folder .. "/" .. path), path)
  end
  if cio.sha256(table.concat(lines)) == tree.sha256 then return "ok" end
  return "damaged", "the checksum of all files differs"
end

--- One file of a manifest in a folder: "ok", "missing", "damaged", or "unknown" (no checksum to
-- hold it against), and words about it.
function M.check(folder, f)
  if f.tree then return check_tree(folder, f.tree) end
  local path = folder .. "/" .. f.name
  if not cio.is_file(path) then
    if f.unpacks and cio.is_dir(folder .. "/" .. f.unpacks) then
      return "unknown", ("unpacked in %s"):format(f.unpacks)
    end
    return "missing"
  end
  local _, bytes = cio.kind(path)
  if f.bytes and bytes ~= f.bytes then
    return "damaged", ("%d bytes, expected %d"):format(bytes, f.bytes)
  end
  if f.sha256 and cio.sha256_file(path) ~= f.sha256:lower() then
    if f.variants then return "unknown", "another version than the one whose checksum is known" end
    return "damaged", "its checksum differs"
  end
  if f.content then
    local sum, why = content_sum(path, f.content.bytes)
    if not sum then return "damaged", why end
    if f.content.sha256 and sum ~= f.content.sha256:lower() then
      return "damaged", "the checksum of what it holds differs"
    end
    if f.content.sha256 then return "ok" end
  end
  if f.sha256 then return "ok" end
  return "unknown", "no checksum known"
end

return M
