--- imagefolder.lua - a folder with one folder per person becomes images and labels
--
--     local set   = crun.imagefolder("data/orl_faces", { size = 64 })
--     local parts = set:split { train = 16, val = 4, test = 20 }
--     print(parts.test.images, parts.test.labels, parts.test.names[1])
--
-- Folders and files are taken in the order of their bytes, whatever the locale; names that begin
-- with a dot are skipped, and so are files that are not named .pgm, .ppm, .pnm or .png. Colour
-- becomes grey (ITU-R BT.601); sizes may be mixed, each image is resized with antialiasing. Errors
-- name the file and end with exit code 4.
local crun = require "crun"
local options = require "crun.options"

local M = {}
local Set = {}
Set.__index = Set
Set.__name = "crun.imageset"

local WHERE <const>, EXIT_DATA <const> = "imagefolder", 4
local READABLE <const> = { pgm = true, ppm = true, pnm = true, png = true }

local function fail(text, ...)
  crun.fail(WHERE, select("#", ...) > 0 and text:format(...) or text, EXIT_DATA)
end

local function list(path)
  local ok, names, kinds = pcall(crun.io.list, path)
  if not ok then fail("%s", (tostring(names):gsub("^.-: io%.[%w_]+: ", ""))) end
  return names, kinds
end

-- one image as a uint8 tensor [1 h w]
local function read(path, height, width)
  local ok, image = pcall(crun.io.read_image, path)
  if not ok then fail("%s", (tostring(image):gsub("^.-: io%.[%w_]+: ", ""))) end
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

--- Reads a folder. size: one number or { height, width } (64). least: images a person must have
-- (2). Returns { images = uint8 [N 1 H W], labels = int64 [N], names = { folder names }, files = {
-- paths } }; label i is names[i].
function M.open(dir, opts)
  options.check_value(WHERE, "the folder", dir, "string")
  local o = options.check(WHERE, opts, { size = { "any", 64 }, least = { "count", 2 } })
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
      local n, other = 0, nil
      local inside, what = list(dir .. "/" .. person)
      for _, file in ipairs(inside) do
        local ending = file:match("%.(%w+)$")
        if file:sub(1, 1) ~= "." and what[file] == "file" then
          if ending and READABLE[ending:lower()] then
            local path = ("%s/%s/%s"):format(dir, person, file)
            n = n + 1
            images[#images + 1], labels[#labels + 1], files[#files + 1] = read(path, height, width),
              #names + 1, path
          else
            other = other or file
          end
        end
      end
      if n < o.least then
        fail("'%s/%s' has %s; a person needs %d or more%s", dir, person, n == 1 and "1 image" or
          n == 0 and "no PGM, PPM or PNG image" or n .. " images", o.least,
          n == 0 and other and (" (%s is not one of these formats)"):format(other) or "")
      end
      names[#names + 1] = person
    end
  end
  if #names == 0 then
    fail("'%s' is empty; expected one folder per person with PGM or PNG images in it", dir)
  end
  return setmetatable({
    images = crun.stack(images, 1), labels = crun.int(labels), names = names, files = files,
      all_names = names,
  }, Set)
end

-- ---- splits -------------------------------------------------------------------------------------

-- s2 before s10: runs of digits count as numbers
local function natural_key(name)
  return (name:gsub("%d+",
    function(digits) return ("%020d"):format(tonumber(digits:sub(1, 18))) end))
end

local function shuffled(order, seed)
  local rows = crun.randperm(crun.rng(seed, "imagefolder.split"), #order):totable()
  local mixed = {}
  for i, row in ipairs(rows) do mixed[i] = order[row] end
  return mixed
end

-- the images of these labels, in the order they have in the whole set; labels stay the same
function Set:people(labels)
  local wanted, rows, names, files = {}, {}, {}, {}
  for _, label in ipairs(labels) do wanted[label] = true end
  for row, label in ipairs(self.labels:totable()) do
    if wanted[label] then rows[#rows + 1], files[#files + 1] = row, self.files[row] end
  end
  for _, label in ipairs(labels) do names[#names + 1] = self.names[label] end
  local at = crun.int(rows)
  return setmetatable({
    images = self.images:index_select(at, 1), labels = self.labels:index_select(at, 1),
    names = names, files = files, all_names = self.all_names,
  }, Set)
end

--- Parts that share no person: { train = ..., val = ..., test = ... }, names of your choice. Each
-- part is a number of people, a share of them (below 1), a list of names, or "rest" (once). Lists
-- are served first; then train, val, test and other names in the alphabet's order take people from
-- the front of the natural order (s2 before s10), or, with `seed`, of an order drawn from it.
-- Returns a table of sets. Labels stay those of the whole set: set.names are the people of the
-- part, set.all_names[label] is the name of a label.
function Set:split(parts)
  if type(parts) ~= "table" then
    crun.fail("imagefolder:split", "expected a table, got " .. options.say(parts))
  end
  local where = "imagefolder:split"
  local seed = parts.seed
  if seed ~= nil then options.check_value(where, "seed", seed, "integer") end
  local order, label_of, taken = {}, {}, {}
  for label, name in ipairs(self.names) do order[label], label_of[name] = label, label end
  table.sort(order, function(a, b)
    local ka, kb = natural_key(self.names[a]), natural_key(self.names[b])
    if ka ~= kb then return ka < kb end
    return self.names[a] < self.names[b]
  end)
  if seed then order = shuffled(order, seed) end

  local rank = { train = 1, val = 2, test = 3 }
  local names = {}
  for name in pairs(parts) do
    if name ~= "seed" then names[#names + 1] = name end
  end
  table.sort(names, function(a, b)
    if (rank[a] or 4) ~= (rank[b] or 4) then return (rank[a] or 4) < (rank[b] or 4) end
    return a < b
  end)

  local chosen, rest = {}, nil
  local function take(part, label)
    if taken[label] then
      crun.fail(where, ("%s is in %s and in %s"):format(self.names[label], taken[label], part),
        EXIT_DATA)
    end
    taken[label] = part
    table.insert(chosen[part], label)
  end
  for _, part in ipairs(names) do
    chosen[part] = {}
    if type(parts[part]) == "table" then
      for _, name in ipairs(parts[part]) do
        if not label_of[name] then
          local near = options.nearest(tostring(name), self.names)
          crun.fail(where, ("there is no person '%s'%s"):format(tostring(name),
            near and ("; did you mean '%s'?"):format(near) or ""), EXIT_DATA)
        end
        take(part, label_of[name])
      end
    elseif parts[part] == "rest" then
      if rest then crun.fail(where, ("%s and %s cannot both be the rest"):format(rest, part)) end
      rest = part
    end
  end
  local at = 1
  local function take_next(part, wanted)
    local got = 0
    while got < wanted do
      while order[at] and taken[order[at]] do at = at + 1 end
      if not order[at] then
        crun.fail(where, ("%s wants %d people, %d are left of %d"):format(part, wanted, got,
          #order), EXIT_DATA)
      end
      take(part, order[at])
      got = got + 1
    end
  end
  for _, part in ipairs(names) do
    local wish = parts[part]
    if type(wish) == "number" then
      options.check_value(where, part, wish, { "number", above = 0 })
      take_next(part, wish < 1 and math.max(1, math.floor(wish * #order + 0.5)) or
        options.check_value(where, part, wish, "count"))
    elseif type(wish) ~= "table" and wish ~= "rest" then
      crun.fail(where, ("%s must be a number of people, a share, a list of names or \"rest\", got %s")
        :format(part, options.say(wish)))
    end
  end
  if rest then
    for _, label in ipairs(order) do
      if not taken[label] then take(rest, label) end
    end
  end
  local sets = {}
  for _, part in ipairs(names) do
    if #chosen[part] == 0 then crun.fail(where, part .. " is left with no people", EXIT_DATA) end
    sets[part] = self:people(chosen[part])
  end
  return sets
end

function Set:__tostring()
  local shape = self.images:shape()
  return ("%d images of %d people, %d x %d"):format(shape[1], #self.names, shape[3], shape[4])
end

return setmetatable(M, { __call = function(_, dir, opts) return M.open(dir, opts) end })
