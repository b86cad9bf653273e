--- mnist.lua - sets in the form of MNIST: Fashion-MNIST, KMNIST and others too
local crun = require "crun"
local files = require "crun.datasets.files"
local imageset = require "crun.imageset"
local options = require "crun.options"

local M = {}
local STEM <const> = { train = "train", test = "t10k" }

-- images uint8 [N H W] and labels 0 .. 9 of one part, or nil when it is not there
local function read(folder, part)
  local stem, where = STEM[part], "mnist"
  local function path(kind)
    local name = ("%s-%s-ubyte"):format(stem, kind)
    return files.find(folder, { name .. ".gz", name, (name:gsub("%-idx", ".idx")) })
  end
  local image_file, label_file = path "images-idx3", path "labels-idx1"
  if not image_file and not label_file then return end
  if not image_file or not label_file then
    files.fail(where, "%s has no %s for the %s", folder,
      ("%s-%s-ubyte.gz"):format(stem, image_file and "labels-idx1" or "images-idx3"),
      image_file and "images" or "labels")
  end
  local decode = crun.archive.decode_idx
  local images = files.try(where, image_file, decode, files.bytes(where, image_file))
  local labels = files.try(where, label_file, decode, files.bytes(where, label_file))
  if images:dtype() ~= "uint8" or images:ndim() ~= 3 then
    files.fail(where, "%s: expected images, uint8 [N, H, W], got %s [%s]", image_file,
      images:dtype(), table.concat(images:shape(), ", "))
  end
  if labels:dtype() ~= "uint8" or labels:ndim() ~= 1 then
    files.fail(where, "%s: expected labels, uint8 [N], got %s [%s]", label_file, labels:dtype(),
      table.concat(labels:shape(), ", "))
  end
  if #images ~= #labels then
    files.fail(where, "%s has %d images, %s has %d labels", image_file, #images, label_file,
      #labels)
  end
  if #labels == 0 then files.fail(where, "%s is empty", image_file) end
  local most = labels:amax():item()
  if most > 9 then
    files.fail(where, "%s: labels must be 0 to 9, got %d", label_file, most)
  end
  return images, labels:int()
end

--- crun.datasets.mnist(folder, { part = "all" }): images uint8 [N 1 28 28], labels int64 [N]: the
-- digit + 1; names "0" .. "9". part: "train" (60,000), "test" (10,000; its files begin with t10k)
-- or "all" that are there, train first. Files *-images-idx3-ubyte and *-labels-idx1-ubyte, with .gz
-- or without. Other sets in this form have other sizes and, by the same numbers, other names.
function M.mnist(folder, opts)
  local where = "mnist"
  local o = options.check("datasets.mnist", opts,
    { part = { "string", "all", choices = { "all", "train", "test" } } })
  folder = files.folder(where, folder, "t10k-images-idx3-ubyte.gz and the like")
  local images, labels = {}, {}
  for _, part in ipairs(o.part == "all" and { "train", "test" } or { o.part }) do
    local x, y = read(folder, part)
    images[#images + 1], labels[#labels + 1] = x, y
  end
  if #images == 0 then
    files.fail(where, "%s has no %s-images-idx3-ubyte.gz", folder, STEM[o.part] or "t10k")
  end
  local x, y = images[1], labels[1]
  if #images == 2 then x, y = crun.cat(images, 1), crun.cat(labels, 1) end
  local names = {}
  for digit = 0, 9 do names[digit + 1] = tostring(digit) end
  return imageset.new({ images = x:reshape(#x, 1, x:size(2), x:size(3)), labels = y + 1,
    names = names }, { "images" }, "datasets.mnist")
end

return M
