--- cifar10.lua - CIFAR-10, binary version
--
-- Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
local crun = require "crun"
local files = require "crun.datasets.files"
local imageset = require "crun.imageset"
local options = require "crun.options"

local M = {}
local NAMES <const> = { "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse",
  "ship", "truck" }
local PARTS <const> = {
  train = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
    "data_batch_5.bin" },
  test = { "test_batch.bin" },
}

--- crun.datasets.cifar10(folder, { part = "all" }): images uint8 [N 3 32 32], labels int64 [N]
-- 1 .. 10, names "airplane" .. "truck". part: "train" (50,000), "test" (10,000) or "all", train
-- first. From data_batch_1.bin .. 5 and test_batch.bin, in the folder or in cifar-10-batches-bin
-- within.
function M.cifar10(folder, opts)
  local where = "cifar10"
  local o = options.check("datasets.cifar10", opts,
    { part = { "string", "all", choices = { "all", "train", "test" } } })
  folder = files.folder(where, folder, "data_batch_1.bin to 5 and test_batch.bin")
  if crun.io.is_dir(folder .. "/cifar-10-batches-bin") then
    folder = folder .. "/cifar-10-batches-bin"
  end
  local images, labels = {}, {}
  for _, part in ipairs(o.part == "all" and { "train", "test" } or { o.part }) do
    for _, name in ipairs(PARTS[part]) do
      local path = files.find(folder, { name })
      if not path then files.fail(where, "%s has no %s", folder, name) end
      images[#images + 1], labels[#labels + 1] = files.try(where, path, crun.archive.decode_cifar,
        files.bytes(where, path))
    end
  end
  return imageset.new({ images = crun.cat(images, 1), labels = crun.cat(labels, 1),
    names = table.move(NAMES, 1, 10, 1, {}) }, { "images" }, "datasets.cifar10")
end

return M
