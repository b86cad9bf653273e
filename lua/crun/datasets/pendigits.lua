--- pendigits.lua - digits written with a pen, as eight points each (UCI 81)
local crun = require "crun"
local files = require "crun.datasets.files"
local imageset = require "crun.imageset"

local M = {}
local POINTS <const> = 8

-- "0000000010" -> 9, "8" -> 9: the class from 1
local function class_of(text)
  if #text == 10 and text:find "^0*10*$" then return text:find "1" end
  if text:find "^%d$" then return tonumber(text) + 1 end
end

local function read(path)
  local where = "pendigits"
  local bytes = files.bytes(where, path)
  local x, columns, _, texts = files.try(where, path, crun.archive.decode_csv, bytes,
    2 * POINTS + 1)
  if #columns ~= 2 * POINTS or not texts then
    files.fail(where, "%s: expected %d numbers and a class in each line, got %d", path, 2 * POINTS,
      #columns)
  end
  local labels, names = {}, {}
  for i, text in ipairs(texts) do
    labels[i] = class_of(text)
    if not labels[i] then
      files.fail(where, "%s: line %d: expected a class, one-hot in 10 digits or 0 to 9, got '%s'",
        path, i, text)
    end
  end
  if x:amin():item() < 0 or x:amax():item() > 100 then
    files.fail(where, "%s: expected coordinates in 0 to 100, got %g to %g", path,
      x:amin():item(), x:amax():item())
  end
  for digit = 0, 9 do names[digit + 1] = tostring(digit) end
  return imageset.new({ points = x:reshape(#labels, POINTS, 2), labels = crun.int(labels),
    names = names }, { "points" }, "datasets.pendigits")
end

--- crun.datasets.pendigits(folder): two sets, train (7,494) and test (3,497). points real [N 8 2],
-- x and y in 0 .. 100 along the pen's way, labels int64 [N]: the digit + 1; names "0" .. "9".
-- Files pendigits.tra and pendigits.tes.
function M.pendigits(folder)
  folder = files.folder("pendigits", folder, "pendigits.tra and pendigits.tes")
  local parts = {}
  for i, name in ipairs { "pendigits.tra", "pendigits.tes" } do
    local path = files.find(folder, { name, name .. ".gz" })
    if not path then files.fail("pendigits", "%s has no %s", folder, name) end
    parts[i] = read(path)
  end
  return parts[1], parts[2]
end

return M
