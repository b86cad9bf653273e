--- provenance.lua - where a result comes from: machine, versions, commit, source files
--
-- Everything is read from files; no program is started.
local crun = require "crun"
local cio = crun.io

local M = {}

local function first_line(path)
  local file = io.open(path)
  local line = file and file:read("l")
  if file then file:close() end
  return line
end

--- The name of the processor, as the system says it.
function M.cpu()
  local file = io.open("/proc/cpuinfo")
  if not file then return "unknown" end
  for line in file:lines() do
    local name = line:match("^model name%s*:%s*(.+)$") or line:match("^Model%s*:%s*(.+)$")
    if name then
      file:close()
      return name
    end
  end
  file:close()
  return "unknown"
end

-- The folder of git's own files for a work tree at or above `dir`. A linked work tree has a file
-- .git that names it.
local function git_folder(dir)
  while dir and dir ~= "" do
    local at = dir .. "/.git"
    if cio.is_dir(at) then return at, dir end
    local named = (first_line(at) or ""):match("^gitdir: (.+)$")
    if named then return named:sub(1, 1) == "/" and named or dir .. "/" .. named, dir end
    dir = dir:match("^(.*)/[^/]*$")
  end
end

--- The commit checked out around a folder, or nil. Whether files differ from it is not known here.
function M.git_commit(dir)
  local git = git_folder(cio.realpath(dir))
  if not git then return end
  local head = first_line(git .. "/HEAD")
  local ref = head and head:match("^ref: (.+)$")
  if not ref then return head and head:match("^%x+$") end
  local common = first_line(git .. "/commondir")
  common = common and (common:sub(1, 1) == "/" and common or git .. "/" .. common) or git
  for _, folder in ipairs { git, common } do
    local id = first_line(folder .. "/" .. ref)
    if id and id:find("^%x+$") then return id end
    local packed = io.open(folder .. "/packed-refs")
    if packed then
      for line in packed:lines() do
        local sum, name = line:match("^(%x+) (.+)$")
        if name == ref then
          packed:close()
          return sum
        end
      end
      packed:close()
    end
  end
end

function M.folder_of(path) return path and path:match("^(.*)/[^/]*$") or "." end

--- Whether process `pid` of this machine is alive and is one of ours.
function M.is_alive(pid)
  if not pid or not cio.exists(("/proc/%d"):format(pid)) then return false end
  local file = io.open(("/proc/%d/cmdline"):format(pid))
  local line = file and file:read("a") or ""
  if file then file:close() end
  return line:find("crun", 1, true) ~= nil
end

local function is_library(path) return path:find("/lua/crun/", 1, true) or
  path:find("/share/crun/", 1, true) end

--- The path of the running script, or nil: -e, standard input.
function M.script() return crun.script ~= "" and crun.script ~= "-" and crun.script or nil end

--- Copies the script and every Lua module it has loaded from outside the library into `to`:
-- script.lua, a module a.b as a/b.lua, so that the copies find each other. `copied` (name -> true)
-- is what is there already.
function M.copy_sources(to, copied)
  local function copy(from, name)
    if copied[name] then return end
    local ok, text = pcall(cio.read_file, from)
    if not ok then return end
    cio.mkdir(M.folder_of(to .. "/" .. name))
    cio.write_file(to .. "/" .. name, text)
    copied[name] = true
  end
  local script = M.script()
  if script then copy(script, script:match("[^/]*$")) end
  for name in pairs(package.loaded) do
    local path = type(name) == "string" and not copied[name] and
      package.searchpath(name, package.path)
    if path and not is_library(cio.realpath(path)) then
      local ending = path:find("/init%.lua$") and "/init.lua" or ".lua"
      copy(path, name:gsub("%.", "/") .. ending)
      copied[name] = true
    end
  end
end

--- What run.json says of the process: versions, machine, arithmetic, command.
function M.describe()
  return {
    crun = crun.version, lua = _VERSION, host = cio.hostname(), cpu = M.cpu(),
      threads = crun.threads(),
    precision = crun.precision, vector = crun.vector, pid = cio.getpid(), folder = cio.cwd(),
    script = M.script() and cio.realpath(M.script()), args = crun.args or {},
    commit = M.git_commit(M.folder_of(M.script() or ".")),
  }
end

return M
