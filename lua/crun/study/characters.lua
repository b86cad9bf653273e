--- What experiments on characters share: the data, turned classes, views, one-shot tasks.
--
--     local set = characters.load(cfg)               -- set.train, set.test, set.runs
--     local images, labels = characters.turned(set.train.images, set.train.labels)
--     local wrong = characters.one_shot(set.runs, function(images) return embed(net, images) end)
--
-- A run is a 20-way one-shot task: 20 characters of one alphabet by one hand, the same 20 by
-- another; which is which? Lake, Salakhutdinov, Tenenbaum, Science 2015.
--
-- @module crun.study.characters
local crun = require "crun"

local M = {}

local TEST_ALPHABETS <const>, CHARACTERS <const>, WRITERS <const> = 10, 20, 20
local GREY <const> = { mean = 0.1, std = 0.3 }            -- about those of ink on paper

-- ---- data ---------------------------------------------------------------------------------------

local function generated(first, alphabets, size)
  local images, labels, groups = crun.data.glyphs { alphabets = alphabets, first = first,
    characters = CHARACTERS, writers = WRITERS, size = size }
  return { images = images, labels = labels, alphabets = groups }
end

-- Two runs of each test alphabet: writers 1 and 2, then 3 and 4. The rows of a character stand
-- together, one a writer.
local function runs_of(set, alphabets)
  local runs = {}
  for a = 0, alphabets - 1 do
    for first = 1, 3, 2 do
      local one, other = {}, {}
      for c = 0, CHARACTERS - 1 do
        local row = (a * CHARACTERS + c) * WRITERS + first
        one[c + 1], other[c + 1] = row, row + 1
      end
      runs[#runs + 1] = { name = ("alphabet %d, %d"):format(a + 6, first // 2 + 1),
        training = set.images:index_select(crun.int(one)),
        test = set.images:index_select(crun.int(other)), answers = crun.arange(1, CHARACTERS) }
    end
  end
  return runs
end

--- The training set and the runs. cfg.data: "generated" (alphabets 1 to 5 train, 6 to 15 test, two
-- runs of each), or a folder with Omniglot's images_background_small1.zip and all_runs.zip;
-- cfg.size, cfg.quick. Returns { train = { images, labels, alphabets }, runs =, test = (generated:
-- the images of the test alphabets) }.
function M.load(cfg)
  if cfg.data ~= "generated" then
    return { train = crun.datasets.omniglot(cfg.data, { size = cfg.size }),
      runs = crun.datasets.omniglot_runs(cfg.data, { size = cfg.size }) }
  end
  local alphabets = cfg.quick and 2 or TEST_ALPHABETS
  local test = generated(6, alphabets, cfg.size)
  return { train = generated(1, cfg.quick and 2 or 5, cfg.size), test = test,
    runs = runs_of(test, alphabets) }
end

--- Eight classes of each: turned by quarter turns, and mirrored. Returns images and labels.
function M.turned(images, labels)
  local all, numbers, classes = {}, {}, labels:amax():item()
  local down, across = images:real(), nil
  for mirror = 0, 1 do
    if mirror == 1 then down = down:flip(4) end
    across = down:transpose(3, 4)
    for i, one in ipairs { down, across:flip(3), down:flip(3):flip(4), across:flip(4) } do
      all[#all + 1] = one:contiguous():byte()
      numbers[#numbers + 1] = labels + (4 * mirror + i - 1) * classes
    end
  end
  return crun.cat(all, 1), crun.cat(numbers, 1)
end

-- ---- network and views --------------------------------------------------------------------------

--- Rows of a set, changed at random: cfg.augment, cfg.seed and the step decide how.
function M.changed(images, rows, cfg, step)
  local o = { mean = GREY.mean, std = GREY.std, seed = cfg.seed, epoch = step }
  for name, value in pairs(cfg.augment) do o[name] = value end
  return crun.data.augment(images, rows, o)
end

--- The mean embedding of `views` views of each image: itself, and others changed half as much as in
-- training, the same changes whatever the image.
function M.embed(net, images, cfg, views)
  local sum
  for view = 0, views - 1 do
    local z = crun.eval.embed(net, images, { transform = function(batch)
      local o = { mean = GREY.mean, std = GREY.std, seed = 1, epoch = view }
      for name, value in pairs(cfg.augment) do o[name] = view > 0 and value / 2 or 0 end
      return crun.data.augment(batch:contiguous(), o)
    end })
    sum = sum and sum + z or z
  end
  return sum:normalize()
end

-- ---- one-shot tasks -----------------------------------------------------------------------------

--- The error on the runs, each test image decided alone: the nearest of its run's training images.
-- distances: a function of the test and the training images of a run that gives [tests,
-- trainings], or embed: a function of images that gives rows. Returns the share of wrong answers,
-- and it by run.
function M.one_shot(runs, embed, distances)
  local wrong, all, by_run = 0, 0, {}
  for i, run in ipairs(runs) do
    local d = distances and distances(run.test, run.training) or
      crun.cdist(embed(run.test), embed(run.training))
    local missed = d:argmin { dim = 2 }:ne(run.answers):real():sum():item()
    by_run[i] = missed / #run.answers
    wrong, all = wrong + missed, all + #run.answers
  end
  return wrong / all, by_run
end

-- rows and columns of the ink of an image, [n 2]
local function ink_of(image)
  local at = image:reshape(image:size(2), image:size(3)):gt(127):nonzero():real()
  return at - at:mean(1)
end

--- The modified Hausdorff distance of ink, images [N 1 H W] each with each: the larger of the two
-- mean distances from a point of one to the nearest of the other, both about their middle.
-- Dubuisson, Jain, ICPR 1994: the baseline of Omniglot's authors.
function M.hausdorff(tests, trainings)
  local a, b = {}, {}
  for i = 1, #tests do a[i] = ink_of(tests[i]) end
  for j = 1, #trainings do b[j] = ink_of(trainings[j]) end
  local out = crun.zeros(#a, #b)
  for i = 1, #a do
    for j = 1, #b do
      local d = crun.cdist(a[i], b[j])
      out[i][j] = math.max(d:amin(2):mean():item(), d:amin(1):mean():item())
    end
  end
  return out
end

return M
