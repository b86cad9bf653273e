--- lfw.lua - Labeled Faces in the Wild
--
-- Huang, Ramesh, Berg, Learned-Miller, "Labeled faces in the wild: a database for studying face
-- recognition in unconstrained environments", 2007.
local crun = require "crun"
local files = require "crun.datasets.files"
local options = require "crun.options"

local M = {}

--- crun.datasets.lfw(folder, { size = 64, least = 1 }): images uint8 [13233 1 size size], grey;
-- labels int64 [N], a number for each person; names, files. least: pictures a person must have, to
-- leave out the others. row_of["Aaron_Eckhart_0001"] is the row of a picture, as crun.eval.lfw
-- wants it beside crun.eval.read_pairs "pairs.txt". From NAME/NAME_0001.jpg, or a folder lfw of
-- that form within.
function M.lfw(folder, opts)
  local where = "lfw"
  local o = options.check("datasets.lfw", opts,
    { size = { "any", 64 }, least = { "count", 1 } })
  folder = files.folder(where, folder, "one folder per person, NAME/NAME_0001.jpg")
  for _, name in ipairs { "lfw", "lfw_funneled", "lfw-deepfunneled" } do
    if crun.io.is_dir(folder .. "/" .. name) then folder = folder .. "/" .. name break end
  end
  local names, kinds = crun.io.list(folder)
  local first
  for _, name in ipairs(names) do
    if kinds[name] == "folder" and crun.io.is_file(("%s/%s/%s_0001.jpg"):format(folder, name,
       name)) then
      first = name
      break
    end
  end
  if not first then files.fail(where, "%s has no NAME/NAME_0001.jpg in it", folder) end
  local set = crun.imagefolder(folder, { size = o.size, least = o.least, short = "drop" })
  set.row_of = {}
  for row, path in ipairs(set.files) do
    set.row_of[path:match "([^/]*)%.%w+$"] = row
  end
  return set
end

return M
