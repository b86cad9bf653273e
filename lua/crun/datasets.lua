--- datasets.lua - public data sets as they are published, from the folder they were put in
--
--     local set = crun.datasets.mnist("data/mnist", { part = "test" })
--     print(set.images, set.labels, set.names[set.labels[1]])
--     local parts = set:split { train = 6, test = "rest" }
--
-- mnist, pendigits, omniglot, omniglot_runs, omniglot_strokes, lfw, cifar10 and features; each is a
-- file in lua/crun/datasets/. A set is what crun.imagefolder gives (`crun help imageset`): images
-- uint8 [N C H W], labels int64 [N] with classes from 1, names[label]. Archives are read as they
-- are, nothing needs unpacking. What is missing, damaged or does not fit is one error with exit
-- code 4 that names the file, what was expected and what came. `crun data list` says where the
-- sets come from.
local files = {
  mnist = "mnist", pendigits = "pendigits", omniglot = "omniglot", omniglot_runs = "omniglot",
  omniglot_strokes = "omniglot", lfw = "lfw", cifar10 = "cifar10", features = "features",
}

return setmetatable({}, { __index = function(self, name)
  if not files[name] then return nil end
  for key, f in pairs(require("crun.datasets." .. files[name])) do rawset(self, key, f) end
  return rawget(self, name)
end })
