--- omniglot.lua - handwritten characters of many alphabets: pictures, pen strokes, one-shot runs
--
-- Lake, Salakhutdinov, Tenenbaum, "Human-level concept learning through probabilistic program
-- induction", Science 2015. Each character was drawn once by each of 20 people.
local crun = require "crun"
local files = require "crun.datasets.files"
local imageset = require "crun.imageset"
local options = require "crun.options"

local M = {}
local PART <const> = { "string", "background_small1", choices = { "background", "evaluation",
  "background_small1", "background_small2" } }
local SIDE <const> = 105

-- ---- files in a zip or in folders, seen alike ---------------------------------------------------

-- paths below a folder, relative to it, sorted as bytes
local function walk(folder, under, found)
  local names, kinds = crun.io.list(folder .. under)
  for _, name in ipairs(names) do
    local path = under .. "/" .. name
    if kinds[name] == "folder" then walk(folder, path, found)
    elseif kinds[name] == "file" then found[#found + 1] = path:sub(2) end
  end
  return found
end

-- Where a part's files lie: their paths, relative, and a function path -> bytes.
local function source(where, folder, stem)
  local zip = files.find(folder, { stem .. ".zip" })
  if zip then
    local archive = files.try(where, zip, crun.archive.open, zip)
    local names, number = archive:names(), {}
    for i, name in ipairs(names) do number[name] = i end
    return names, function(name)
      return files.try(where, zip, archive.read, archive, number[name])
    end, zip
  end
  local root = crun.io.is_dir(folder .. "/" .. stem) and folder .. "/" .. stem or nil
  if not root then
    files.fail(where, "%s has neither %s.zip nor a folder %s", folder, stem, stem)
  end
  return walk(root, "", {}), function(name)
    return files.try(where, root .. "/" .. name, crun.io.read_file, root .. "/" .. name)
  end, root
end

-- The drawings of a part, alphabets, characters and drawers by name: { path =, alphabet =,
-- character =, drawer = }.
local function drawings(where, folder, stem, ending)
  local names, read, at = source(where, folder, stem)
  local list = {}
  for _, path in ipairs(names) do
    local alphabet, character, drawer = path:match("([^/]+)/(character%d+)/%d+_(%d+)%." .. ending ..
      "$")
    if alphabet and not path:find "^__MACOSX/" then
      list[#list + 1] = { path = path, alphabet = alphabet, character = character,
        drawer = math.tointeger(drawer) }
    end
  end
  if #list == 0 then
    files.fail(where, "%s has no ALPHABET/characterNN/NNNN_NN.%s in it", at, ending)
  end
  table.sort(list, function(a, b)
    if a.alphabet ~= b.alphabet then return a.alphabet < b.alphabet end
    if a.character ~= b.character then return a.character < b.character end
    return a.drawer < b.drawer
  end)
  return list, read, at
end

-- labels, names, alphabets and drawers of a list of drawings, as fields of a set
local function describe(list)
  local labels, names, alphabets, alphabet_names, drawers = {}, {}, {}, {}, {}
  for i, d in ipairs(list) do
    local name = d.alphabet .. "/" .. d.character
    if names[#names] ~= name then names[#names + 1] = name end
    if alphabet_names[#alphabet_names] ~= d.alphabet then
      alphabet_names[#alphabet_names + 1] = d.alphabet
    end
    labels[i], alphabets[i], drawers[i] = #names, #alphabet_names, d.drawer
  end
  return { labels = crun.int(labels), names = names, alphabets = crun.int(alphabets),
    alphabet_names = alphabet_names, drawers = crun.int(drawers) }
end

-- The rows of the alphabets that are named, and the others.
local function by_alphabet(set, names)
  local where, wanted, known = set.where .. ":by_alphabet", {}, {}
  for i, name in ipairs(set.alphabet_names) do known[name] = i end
  for _, name in ipairs(names) do
    if not known[name] then
      local near = options.nearest(tostring(name), set.alphabet_names)
      crun.fail(where, ("there is no alphabet '%s'%s"):format(tostring(name),
        near and ("; did you mean '%s'?"):format(near) or ""), 4)
    end
    wanted[known[name]] = true
  end
  local classes, seen = { {}, {} }, {}
  local labels = set.labels:totable()
  for row, alphabet in ipairs(set.alphabets:totable()) do
    local side = wanted[alphabet] and 1 or 2
    if not seen[labels[row]] then table.insert(classes[side], labels[row]) end
    seen[labels[row]] = true
  end
  return set:people(classes[1]), set:people(classes[2])
end

-- ---- pictures -----------------------------------------------------------------------------------

-- a picture as it is in its file, black on white
local function picture(where, path, bytes)
  local image = files.try(where, path, crun.io.decode_image, bytes)
  if image:size(1) ~= 1 or image:size(2) ~= SIDE or image:size(3) ~= SIDE then
    files.fail(where, "%s: expected a grey image of %d x %d, got [%s]", path, SIDE, SIDE,
      table.concat(image:shape(), ", "))
  end
  return image
end

-- all of them, of the size wanted, ink 255 on 0
local function pictures(images, size)
  local stack = crun.stack(images, 1)
  if size ~= SIDE then stack = crun.data.resize(stack, { height = size, width = size }) end
  return (255 - stack:real()):byte()
end

local SIZE <const> = { "count", SIDE, most = 1024 }

--- crun.datasets.omniglot(folder, { part = "background_small1", size = 105 }): images uint8
-- [N 1 size size], ink 255 on 0 (the files are black on white), antialiased when size is below 105;
-- labels int64 [N], a number for each character of all alphabets, names "Balinese/character01";
-- alphabets int64 [N] with alphabet_names, drawers int64 [N] 1 .. 20. Rows in the order of alphabet,
-- character, drawer. part: background (964 characters), evaluation (659), background_small1 or
-- background_small2; from images_PART.zip or the folder it unpacks to. set:by_alphabet { "Latin" }
-- gives a set of the alphabets named and one of the rest.
function M.omniglot(folder, opts)
  local where = "omniglot"
  local o = options.check("datasets.omniglot", opts, { part = PART, size = SIZE })
  folder = files.folder(where, folder, "images_" .. o.part .. ".zip")
  local list, read = drawings(where, folder, "images_" .. o.part, "png")
  local images = {}
  for i, d in ipairs(list) do images[i] = picture(where, d.path, read(d.path)) end
  local set = describe(list)
  set.images, set.by_alphabet = pictures(images, o.size), by_alphabet
  return imageset.new(set, { "images", "alphabets", "drawers" }, "datasets.omniglot",
    { "character", "characters" })
end

--- crun.datasets.omniglot_runs(folder, { size = 105 }): the 20 runs of the one-shot test, a list of
-- { name = "run01", training = uint8 [20 1 size size], test = uint8 [20 1 size size], answers =
-- int64 [20] }: test image i shows the character of training image answers[i]. Images as those of
-- omniglot. From all_runs.zip or the folder all_runs.
function M.omniglot_runs(folder, opts)
  local where = "omniglot_runs"
  local o = options.check("datasets.omniglot_runs", opts, { size = SIZE })
  folder = files.folder(where, folder, "all_runs.zip")
  local names, read, at = source(where, folder, "all_runs")
  local path_of, run_names = {}, {}
  for _, path in ipairs(names) do
    local short = path:match "(run%d+/.*)$"
    if short and not path:find "^__MACOSX/" then path_of[short] = path end
    local run = short and short:match "^(run%d+)/class_labels%.txt$"
    if run then run_names[#run_names + 1] = run end
  end
  if #run_names == 0 then files.fail(where, "%s has no runNN/class_labels.txt in it", at) end
  table.sort(run_names)
  local runs = {}
  for i, run in ipairs(run_names) do
    local training, test, answers, number, order = {}, {}, {}, {}, {}
    local function image(short)
      local path = path_of[short]
      if not path then files.fail(where, "%s: %s is missing", at, short) end
      return picture(where, path, read(path))
    end
    for short in pairs(path_of) do
      if short:find("^" .. run .. "/training/[^/]+%.png$") then order[#order + 1] = short end
    end
    table.sort(order)
    for k, short in ipairs(order) do number[short], training[k] = k, image(short) end
    local text, line_number = read(path_of[run .. "/class_labels.txt"]), 0
    for line in text:gmatch "[^\r\n]+" do
      line_number = line_number + 1
      local item, class = line:match "^%s*(run%d+/test/%S+)%s+(run%d+/training/%S+)%s*$"
      if not item or not number[class] then
        files.fail(where, "%s: %s/class_labels.txt, line %d: expected 'TEST.png TRAINING.png' of " ..
          "this run, got '%s'", at, run, line_number, line:sub(1, 80))
      end
      test[line_number], answers[line_number] = image(item), number[class]
    end
    if line_number == 0 or #order < 2 then
      files.fail(where, "%s: %s has %d training images and %d answers", at, run, #order,
        line_number)
    end
    runs[i] = { name = run, training = pictures(training, o.size), test = pictures(test, o.size),
      answers = crun.int(answers) }
  end
  return runs
end

-- ---- strokes ------------------------------------------------------------------------------------

-- The strokes of drawing i: a list of [T 3] tensors, x, y and seconds.
local function strokes(set, i)
  local drawing, list = set.points[i], {}
  local starts = {}
  for row, pen in ipairs(drawing:select(2, 4):totable()) do
    if pen == 1 then starts[#starts + 1] = row end
  end
  for k, first in ipairs(starts) do
    local after = starts[k + 1] or #drawing + 1
    list[k] = drawing:narrow(1, first, after - first):narrow(2, 1, 3)
  end
  return list
end

--- crun.datasets.omniglot_strokes(folder, { part = "background_small1" }): points[i] real [T 4] of
-- drawing i: x and y in pixels of the picture (y downwards), seconds since the start, and 1 where a
-- stroke begins, else 0. set:strokes(i) gives its strokes as a list of [T 3] tensors (a dot has one
-- point). labels, names, alphabets, drawers, by_alphabet and the order of rows as in omniglot. From
-- strokes_PART.zip or the folder it unpacks to.
function M.omniglot_strokes(folder, opts)
  local where = "omniglot_strokes"
  local o = options.check("datasets.omniglot_strokes", opts, { part = PART })
  folder = files.folder(where, folder, "strokes_" .. o.part .. ".zip")
  local list, read = drawings(where, folder, "strokes_" .. o.part, "txt")
  local points = {}
  for i, d in ipairs(list) do
    points[i] = files.try(where, d.path, crun.archive.decode_strokes, read(d.path))
  end
  local set = describe(list)
  set.points, set.by_alphabet, set.strokes = points, by_alphabet, strokes
  return imageset.new(set, { "points", "alphabets", "drawers" }, "datasets.omniglot_strokes",
    { "character", "characters" })
end

return M
