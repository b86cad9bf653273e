--- files.lua - how the data sets find and read their files
local crun = require "crun"

local M = {}
local EXIT_DATA <const> = 4

--- Ends with "WHERE: text" at the caller's line and exit code 4.
function M.fail(where, text, ...)
  crun.fail("datasets." .. where, select("#", ...) > 0 and text:format(...) or text, EXIT_DATA)
end

-- An error's text without the place and the function in front.
local function bare(message)
  message = tostring(message):match "^[^\n]*"
  return (message:gsub("^%S+:%d+: ", ""):gsub("^[%a_]+%.[%w_.:]+: ", ""))
end

--- f(...), whose error becomes one that names the file.
function M.try(where, path, f, ...)
  local result = table.pack(pcall(f, ...))
  if result[1] then return table.unpack(result, 2, result.n) end
  local why = bare(result[2])
  M.fail(where, "%s%s", path and not why:find(path, 1, true) and path .. ": " or "", why)
end

--- The first of the names that is a file in the folder, with the folder in front; or nil.
function M.find(folder, names)
  for _, name in ipairs(names) do
    local path = folder .. "/" .. name
    if crun.io.is_file(path) then return path end
  end
end

--- The folder without a slash at its end. An error when there is none.
function M.folder(where, folder, expected)
  if type(folder) ~= "string" then
    M.fail(where, "expected the folder of the data set, got " .. type(folder))
  end
  folder = #folder > 1 and folder:gsub("/+$", "") or folder
  if not crun.io.exists(folder) then
    M.fail(where, "there is no folder '%s'; expected one with %s", folder, expected)
  end
  if not crun.io.is_dir(folder) then
    M.fail(where, "'%s' is a file; expected a folder with %s", folder, expected)
  end
  return folder
end

--- The bytes of a file, unpacked when it is gzipped.
function M.bytes(where, path)
  local bytes = M.try(where, path, crun.io.read_file, path)
  if bytes:sub(1, 2) ~= "\x1f\x8b" then return bytes end
  return M.try(where, path, crun.archive.gunzip, bytes)
end

return M
