--- download.lua - files fetched by curl or wget, resumed, verified, unpacked
local crun = require "crun"
local manifest = require "crun.datasets.manifest"
local ui = require "crun.ui"
local cio = crun.io

local M = {}

local function megabytes(n) return n < 1e5 and ("%.1f KB"):format(n / 1e3) or ("%.1f MB"):format(n / 1e6) end

-- The program's path in PATH, or nil.
local function program(name)
  for folder in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    if cio.is_file(folder .. "/" .. name) then return folder .. "/" .. name end
  end
end

--- How a file is fetched into `to`, going on where it ended; nil when there is no such program. It
-- ends after a minute without data, and follows a redirection to https or http alone.
function M.command(url, to)
  local curl = program "curl"
  if curl then
    return { curl, "--fail", "--location", "--silent", "--show-error", "--proto", "=https,http",
      "--connect-timeout", "20", "--speed-limit", "1", "--speed-time", "60", "--retry", "2",
      "--continue-at", "-", "--output", to, "--", url }
  end
  local wget = program "wget"
  if wget then
    return { wget, "--quiet", "--continue", "--tries=3", "--timeout=60", "--output-document=" .. to,
      "--", url }
  end
end

local function size_of(path) return cio.is_file(path) and select(2, cio.kind(path)) or 0 end

-- A line that is written over on a terminal, and left out elsewhere until the end.
local function progress(name, have, all, began, last)
  if crun.options.progress == "none" then return end
  local live = cio.isatty(2)
  if not live and not last then return end
  local seconds = math.max(cio.monotonic() - began, 1e-3)
  local text = ("  %s  %s%s  %s"):format(name, megabytes(have),
    all and (" of %s, %.0f %%"):format(megabytes(all), 100 * have / all) or "",
    last and ui.duration(seconds) or "")
  io.stderr:write(live and "\r\27[K" or "", text, (last or not live) and "\n" or "")
  io.stderr:flush()
end

-- Ends a child and waits for it.
local function stop(pid)
  crun.process.kill(pid, "TERM")
  while not crun.process.poll(pid) do crun.process.sleep(0.02) end
end

-- Fetches one file to PATH.part; true, or nil and why not.
local function fetch_part(f, part)
  local command = M.command(f.url, part)
  if not command then return nil, "neither curl nor wget is installed" end
  local log, began = cio.tmpname(), cio.monotonic()
  local before = size_of(part)
  local pid = crun.process.spawn { command = command, output = log }
  local how
  repeat
    how = crun.process.poll(pid)
    if not how then
      if crun.interrupted() then
        stop(pid)
        cio.remove(log)
        return nil, "stopped; the same command goes on where it ended"
      end
      crun.process.sleep(0.1)
      progress(f.name, size_of(part), f.bytes, began)
      if f.bytes and size_of(part) > f.bytes then
        stop(pid)
        how = { code = -1, text = "the server sends more than the file has" }
      end
    end
  until how
  local said = how.text or cio.read_file(log):match "([^\n]+)\n*$" or ""
  cio.remove(log)
  progress(f.name, size_of(part), f.bytes, began, true)
  if how.code == 0 then return true end
  -- curl 33, 416: a part that cannot be gone on with; begun anew once
  if before > 0 and (how.code == 33 or said:find "416" or how.code == -1) then
    cio.remove(part)
    return fetch_part(f, part)
  end
  return nil, said ~= "" and said or ("it ended with code %s"):format(tostring(how.code or how.signal))
end

local function unpack(folder, f)
  local new = ("%s/.unpack.%d"):format(folder, cio.getpid())
  local ok, why = pcall(function()
    local archive <close> = crun.archive.open(folder .. "/" .. f.name)
    archive:unpack(new)
  end)
  if ok and not cio.is_dir(new .. "/" .. f.unpacks) then
    ok, why = false, ("%s has no folder %s in it"):format(f.name, f.unpacks)
  end
  if ok then cio.rename(new .. "/" .. f.unpacks, folder .. "/" .. f.unpacks) end
  if cio.exists(new) then cio.remove_tree(new) end
  if not ok then return nil, (tostring(why):gsub("^%S+:%d+: ", "")) end
  return true
end

--- Brings one file of a manifest into a folder: fetched to NAME.part, verified, renamed, unpacked.
-- Returns what was done ("there", "fetched"), or nil and why not.
function M.file(folder, f)
  local path, done = folder .. "/" .. f.name, "there"
  local state, words = manifest.check(folder, f)
  if state == "damaged" then return nil, ("%s is there, but %s; remove it first"):format(path, words) end
  if state == "missing" then
    if not f.url then return nil, f.name .. " cannot be fetched: it has no address" end
    cio.mkdir(path:match "^(.*)/")
    local part = path .. ".part"
    local ok, why = fetch_part(f, part)
    if not ok then return nil, ("%s: %s"):format(f.url, why) end
    local as_part = {}
    for key, value in pairs(f) do as_part[key] = value end
    as_part.name, as_part.unpacks = f.name .. ".part", nil
    state, words = manifest.check(folder, as_part)
    if state ~= "ok" and state ~= "unknown" then
      cio.remove(part)
      return nil, ("%s: what came is not the file: %s; it is removed"):format(f.url, words or state)
    end
    cio.rename(part, path)
    done = "fetched"
  end
  if f.unpacks and not cio.exists(folder .. "/" .. f.unpacks) then
    local ok, why = unpack(folder, f)
    if not ok then return nil, why end
    done = done .. ", unpacked to " .. f.unpacks
  end
  return done, words
end

return M
