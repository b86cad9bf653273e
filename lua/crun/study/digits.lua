--- Digits that train and digits that test: the generated ones, by different writers, or those of a
-- folder of MNIST (two thirds train, the rest tests).
--
--     local train, test = digits.load(cfg, seed)       -- { images =, labels = }; "0" is class 1
--
-- @module crun.study.digits
local crun = require "crun"

local M = { names = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" } }

--- cfg: data ("generated", or a folder with MNIST's gzipped files), writers = { train =, test = }
-- of the generated digits, train (how many of MNIST train), quick. Another seed gives other
-- writers, or another split.
function M.load(cfg, seed)
  if cfg.data == "generated" then
    local n = cfg.quick and { train = 20, test = 10 } or cfg.writers
    local function written(first, writers)
      local images, digits = crun.data.digits { first = first, writers = writers, seed = seed }
      return { images = images, labels = digits + 1 }
    end
    return written(1, n.train), written(1 + n.train, n.test)
  end
  local set = crun.datasets.mnist(cfg.data)
  local order, third = crun.randperm(crun.rng(seed, "digits.split"), #set.labels), #set.labels // 3
  local function part(first, count)
    local rows = order:narrow(1, first, count)
    return { images = set.images:index_select(rows), labels = set.labels:index_select(rows) }
  end
  return part(1, math.min(cfg.quick and 200 or cfg.train, 2 * third)),
    part(#order - third + 1, third)
end

return M
