--- imagefolder.lua - a folder with one folder per person becomes images and labels
--
--     local set   = crun.imagefolder("data/orl_faces", { size = 64 })
--     local parts = set:split { train = 16, val = 4, test = 20 }
--     print(parts.test.images, parts.test.labels, parts.test.names[1])
--
-- Folders and files are taken in the order of their bytes, whatever the locale; names that begin
-- with a dot are skipped, and so are files that are not named .pgm, .ppm, .pnm, .png, .jpg or .jpeg.
-- Colour becomes grey (ITU-R BT.601); sizes may be mixed, each image is resized with antialiasing.
-- The orientation that a camera noted in a JPEG file (EXIF) is ignored. Errors name the file and
-- end with exit code 4. The result is a set: see `crun help imageset`.
local crun = require "crun"
local imageset = require "crun.imageset"
local options = require "crun.options"

local M = {}

local WHERE <const>, EXIT_DATA <const> = "imagefolder", 4
local READABLE <const> = { pgm = true, ppm = true, pnm = true, png = true, jpg = true,
  jpeg = true }

local function fail(text, ...)
  crun.fail(WHERE, select("#", ...) > 0 and text:format(...) or text, EXIT_DATA)
end

local function list(path)
  local ok, names, kinds = pcall(crun.io.list, path)
  if not ok then fail("%s", (tostring(names):gsub("^.-: io%.[%w_]+: ", ""))) end
  return names, kinds
end

local function decode(path)
  if not path:lower():find "%.jpe?g$" then return crun.io.read_image(path) end
  local bytes = crun.io.read_file(path)
  local ok, image = pcall(crun.archive.decode_jpeg, bytes)
  if ok then return image end
  fail("%s: %s", path, (tostring(image):gsub("^.-: archive%.[%w_]+: ", "")))
end

-- one image as a uint8 tensor [1 h w]
local function read(path, height, width)
  local ok, image = pcall(decode, path)
  if not ok then fail("%s", (tostring(image):gsub("^.-: [%w_.]+: ", "", 1))) end
  local planes = image:size(1)
  if planes >= 3 then
    image = crun.data.grayscale(planes > 3 and image:narrow(1, 1, 3):contiguous() or image)
  elseif planes == 2 then
    image = image:narrow(1, 1, 1):contiguous()              -- grey and opacity
  end
  if image:size(2) == height and image:size(3) == width then return image end
  return crun.data.resize(image, { height = height, width = width })
end

local function height_and_width(size)
  if type(size) ~= "table" then
    size = options.check_value(WHERE, "size", size, "count")
    return size, size
  end
  if #size ~= 2 then fail("size must be a number or { height, width }, got a list of %d", #size) end
  return options.check_value(WHERE, "the height", size[1], "count"),
    options.check_value(WHERE, "the width", size[2], "count")
end

-- the images of one person by path, and the name of a file that is none
local function images_of(folder)
  local paths, other = {}, nil
  local inside, what = list(folder)
  for _, file in ipairs(inside) do
    if file:sub(1, 1) ~= "." and what[file] == "file" then
      local ending = file:match("%.(%w+)$")
      if ending and READABLE[ending:lower()] then paths[#paths + 1] = folder .. "/" .. file
      else other = other or file end
    end
  end
  return paths, other
end

--- Reads a folder. size: one number or { height, width } (64). least: images a person must have
-- (2); short: what becomes of those with fewer, "error" or "drop". Returns a set: images uint8
-- [N 1 H W], labels int64 [N], names = { folder names }, files = { paths }; label i is names[i].
function M.open(dir, opts)
  options.check_value(WHERE, "the folder", dir, "string")
  local o = options.check(WHERE, opts, { size = { "any", 64 }, least = { "count", 2 },
    short = { "string", "error", choices = { "error", "drop" } } })
  local height, width = height_and_width(o.size)
  dir = #dir > 1 and dir:gsub("/+$", "") or dir
  if not crun.io.exists(dir) then fail("there is no folder '%s'", dir) end
  if not crun.io.is_dir(dir) then
    fail("'%s' is a file; expected a folder with one folder per person", dir)
  end

  local names, images, labels, files = {}, {}, {}, {}
  local entries, kinds = list(dir)
  for _, person in ipairs(entries) do
    if person:sub(1, 1) ~= "." and kinds[person] == "folder" then
      local paths, other = images_of(dir .. "/" .. person)
      local n = #paths
      if n < o.least and o.short == "error" then
        fail("'%s/%s' has %s; a person needs %d or more%s", dir, person, n == 1 and "1 image" or
          n == 0 and "no PGM, PPM, PNG or JPEG image" or n .. " images", o.least,
          n == 0 and other and (" (%s is not one of these formats)"):format(other) or "")
      end
      if n >= o.least then names[#names + 1] = person end
      for i = 1, n >= o.least and n or 0 do
        images[#images + 1] = read(paths[i], height, width)
        labels[#labels + 1], files[#files + 1] = #names, paths[i]
      end
    end
  end
  if #names == 0 then
    fail("'%s' is empty; expected one folder per person with PGM, PNG or JPEG images in it", dir)
  end
  return imageset.new({
    images = crun.stack(images, 1), labels = crun.int(labels), names = names, files = files,
  }, { "images", "files" }, WHERE, { "person", "people" })
end

return setmetatable(M, { __call = function(_, dir, opts) return M.open(dir, opts) end })
