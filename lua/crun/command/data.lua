--- crun data list|show|verify|fetch NAME [FOLDER]: the public data sets that crun reads
--
--   crun data list                    the sets, their licence, and whether they are here
--   crun data show NAME [FOLDER]      what a set is, and a picture of samples of each class (--out)
--   crun data verify NAME [FOLDER]    are its files as they were published?
--   crun data fetch NAME [FOLDER]     downloads it with curl or wget, verifies and unpacks it
--
-- NAME/FILE means one file of a set; a path that ends in .json a manifest of your own. FOLDER is
-- $CRUN_DATA/NAME, or data/NAME, when it is left out. Exit codes: 4 when files are missing or
-- cannot be had, 6 when one is damaged.
local crun = require "crun"
local cli = require "crun.cli"
local manifest = require "crun.datasets.manifest"
local options = require "crun.options"
local ui = require "crun.ui"
local cio = crun.io

local EXIT_DATA <const>, EXIT_CHECK <const> = 4, 6
local CLASSES <const>, EACH <const> = 10, 10

local function size_text(n)
  if not n then return "size not known" end
  return n < 1e6 and ("%.0f KB"):format(n / 1e3) or ("%.1f MB"):format(n / 1e6)
end

local function here(m, folder)
  local found, wanted = 0, 0
  for _, f in ipairs(m.files) do
    if not f.extra then
      wanted = wanted + 1
      local path = f.tree and folder or folder .. "/" .. f.name
      if cio.exists(path) or f.unpacks and cio.exists(folder .. "/" .. f.unpacks) then found = found + 1 end
    end
  end
  return found == 0 and "-" or found == wanted and folder or
    ("%s (%d of %d files)"):format(folder, found, wanted)
end

local function list(given)
  local all, rows, out = require "crun.datasets.manifests", {}, {}
  for i, name in ipairs(options.sorted_keys(all)) do
    local m = manifest.find(name)
    local place = here(m, manifest.folder(m))
    rows[i] = { name, m.about, m.licence, place }
    out[i] = { name = name, title = m.title, about = m.about, licence = m.licence, source = m.source,
      credit = m.credit, here = place ~= "-" and place or nil }
  end
  if cli.json(given) then return print(cio.json_encode(out)) end
  print(ui.table { columns = { "data set", "what", "licence", "here" }, rows = rows })
  print "\nFaces, digits and glyphs that need no download: crun help data"
end

local function describe(m, folder)
  local files = {}
  for _, f in ipairs(m.files) do
    files[#files + 1] = ("%s%s"):format(f.name, f.extra and " (extra)" or "")
  end
  print(("%s - %s\n"):format(m.name, m.title or m.about or ""))
  print(ui.pairs { { "what", m.about or "" }, { "source", m.source or "" },
    { "licence", m.licence or "" }, { "credit", m.credit or "" },
    { "reader", m.loader and (m.loader == "imagefolder" and "crun.imagefolder" or
      "crun.datasets." .. m.loader) .. '("' .. folder .. '")' or "" },
    { "files", table.concat(files, ", ") } })
end

-- Strokes or points as small pictures: a grey image of `side` pixels, the pen's way in white.
local function drawn(points, side, most)
  local x, y = points:select(2, 1) / most * (side - 5) + 2, points:select(2, 2) / most * (side - 5) + 2
  local image = crun.zeros(side, side):byte()
  local xs, ys = x:totable(), y:totable()
  for i = 2, #xs do
    for step = 0, side do
      local px = xs[i - 1] + (xs[i] - xs[i - 1]) * step / side
      local py = ys[i - 1] + (ys[i] - ys[i - 1]) * step / side
      image[side - 1 - (py // 1 | 0)][1 + (px // 1 | 0)] = 255
    end
  end
  return image
end

local function load(m, folder)
  if m.loader == "imagefolder" then return crun.imagefolder(folder) end
  return (crun.datasets[m.loader](folder))
end

-- EACH samples of each of CLASSES classes, evenly out of all, and the classes' names.
local function samples(set)
  local rows_of, order = {}, {}
  for row, label in ipairs(set.labels:totable()) do
    if not rows_of[label] then
      rows_of[label], order[#order + 1] = {}, label
    end
    table.insert(rows_of[label], row)
  end
  table.sort(order)
  local images, captions = {}, {}
  local n = math.min(CLASSES, #order)
  for i = 1, n do
    local label = order[(i - 1) * #order // n + 1]
    local rows = rows_of[label]
    for k = 1, EACH do                                       -- again from the first when they are few
      local row = rows[(k - 1) % #rows + 1]
      images[#images + 1] = set.images and set.images[row] or drawn(set.points[row], 48, 100)
      captions[#images] = k == 1 and set.all_names[label]:gsub("/%a*", " ") or false
    end
  end
  return images, captions
end

local function show(m, folder, given)
  describe(m, folder)
  if not m.loader or here(m, folder) == "-" then
    print(("\nIt is not in %s; crun data fetch %s"):format(folder, m.name))
    return
  end
  local set = load(m, folder)
  print(("\n%s: %s"):format(folder, tostring(set)))
  local images, captions = samples(set)
  local path = given.out or m.name .. ".png"
  require("crun.plot").grid { path = path, title = m.title, images = images, captions = captions,
    cols = EACH, size = 56 }
  print("picture: " .. path)
end

local function verify(m, folder, given)
  local count, rows = { ok = 0, missing = 0, damaged = 0, unknown = 0 }, {}
  for _, f in ipairs(m.files) do
    local state, words = manifest.check(folder, f)
    if not (f.extra and state == "missing") then
      count[state] = count[state] + 1
      rows[#rows + 1] = { name = f.name, state = state, words = words }
    end
  end
  if cli.json(given) then print(cio.json_encode(rows)) else
    local words_of = { ok = "as published", missing = "missing", damaged = "DAMAGED", unknown = "there" }
    for _, row in ipairs(rows) do
      print(("  %s  %s%s"):format(row.name, words_of[row.state], row.words and ": " .. row.words or ""))
    end
    print(("%s in %s: %d as published, %d without a checksum, %d missing, %d damaged"):format(m.name,
      folder, count.ok, count.unknown, count.missing, count.damaged))
  end
  if count.damaged > 0 then crun.exit(EXIT_CHECK) end
  if count.ok + count.unknown == 0 then crun.exit(EXIT_DATA) end
end

-- What to do by hand.
local function by_hand(m, folder)
  io.stderr:write(("\nTo put it there by hand, download into %s:\n"):format(folder))
  for _, f in ipairs(m.files) do
    if not f.extra then
      io.stderr:write(("  %s%s\n"):format(f.url or f.name .. ", from " .. (m.source or "its source"),
        f.bytes and ("  (%s)"):format(size_text(f.bytes)) or ""))
      if f.unpacks then io.stderr:write(("    and unpack it there: it holds the folder %s\n"):format(f.unpacks)) end
    end
  end
  io.stderr:write(("then: crun data verify %s %s\n"):format(m.name, folder))
end

local function fetch(m, folder)
  local total = 0
  for _, f in ipairs(m.files) do total = total + (not f.extra and f.bytes or 0) end
  io.stderr:write(("%s into %s%s\nlicence: %s; credit: %s\n"):format(m.title or m.name, folder,
    total > 0 and (", %s or more"):format(size_text(total)) or "", m.licence or "not stated",
    m.credit or "not stated"))
  crun.catch_signals(true)
  local download = require "crun.datasets.download"
  for _, f in ipairs(m.files) do
    if not f.extra then
      local done, words = download.file(folder, f)
      if not done then
        io.stderr:write("crun: data fetch: ", words, "\n")
        by_hand(m, folder)
        crun.exit(EXIT_DATA)
      end
      print(("  %s  %s%s"):format(f.name, done, words and ": " .. words or ""))
    end
  end
end

local ACTIONS <const> = { show = show, verify = verify, fetch = fetch }

return function(args)
  local words, given = cli.parse("data", args, { json = false, out = true })
  local action = words[1]
  if action == nil or action == "list" then return list(given) end
  if not ACTIONS[action] then
    local near = options.nearest(action, { "list", "show", "verify", "fetch" })
    cli.refuse("data: expected list, show, verify or fetch, got '%s'%s", action,
      near and ("; did you mean '%s'?"):format(near) or "")
  end
  if not words[2] then
    cli.refuse("data %s needs the name of a data set; `crun data list` lists them", action)
  end
  if #words > 3 then cli.refuse("data %s: one set and one folder, got '%s' too", action, words[4]) end
  local m, why = manifest.find(words[2])
  if not m then cli.refuse("data %s: %s", action, why) end
  return ACTIONS[action](m, manifest.folder(m, words[3]), given)
end
