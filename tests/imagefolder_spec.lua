local crun = require "crun"
local shell = require "scripts.shell"

local folder
before_each(function() folder = crun.io.tmpdir() end)
after_each(function() crun.io.remove_tree(folder) end)

local function pgm(w, h, value) return ("P5\n%d %d\n255\n"):format(w, h) ..
  string.char(value):rep(w * h) end

local function put(name, content)
  local path = folder .. "/" .. name
  crun.io.mkdir(path:match("^(.*)/"))
  crun.io.write_file(path, content)
end

local function people(n)
  for i = 1, n do
    for k = 1, 3 do put(("s%d/%d.pgm"):format(i, k), pgm(8, 6, i * 10 + k)) end
  end
end

local function refuses(text, opts, where)
  local ok, message = pcall(crun.imagefolder, where or folder, opts)
  assert.is_false(ok)
  assert.truthy(message:find(text, 1, true), message)
end

describe("imagefolder", function()
  it("reads people in byte order, skipping hidden and other files", function()
    people(12)
    put("s1/.hidden.pgm", "x")
    put(".git/x.pgm", "x")
    put("README", "x")
    put("s1/notes.txt", "x")
    local set = crun.imagefolder(folder, { size = { 6, 8 } })
    assert.same({ 36, 1, 6, 8 }, set.images:shape())
    assert.equal("uint8", set.images:dtype())
    assert.equal("int64", set.labels:dtype())
    assert.same({ "s1", "s10", "s11", "s12", "s2" }, table.move(set.names, 1, 5, 1, {}))
    assert.equal(101, set.images[4][1][1][1])               -- s10/1.pgm
    assert.equal(2, set.labels[4])
    assert.equal(folder .. "/s10/1.pgm", set.files[4])
    assert.equal("36 images of 12 people, 6 x 8", tostring(set))
  end)

  it("takes grey and colour, PGM, PPM and PNG, of mixed sizes", function()
    put("a/1.pgm", pgm(10, 20, 50))
    put("a/2.ppm", "P6\n4 4\n255\n" .. string.char(255, 0, 0):rep(16))
    put("b/1.PGM", pgm(3, 3, 9))
    put("b/2.png", crun.io.encode_png(crun.byte { { { 5, 5 }, { 5, 5 } }, { { 5, 5 }, { 5, 5 } },
      { { 5, 5 }, { 5, 5 } } }))
    local set = crun.imagefolder(folder, { size = 4 })
    assert.same({ 4, 1, 4, 4 }, set.images:shape())
    assert.equal(50, set.images[1][1][2][2])
    assert.equal(76, set.images[2][1][2][2])                -- 0.299 * 255
    assert.equal(9, set.images[3][1][2][2])
    assert.equal(5, set.images[4][1][2][2])
  end)

  it("names what is wrong, and the file", function()
    refuses("there is no folder '" .. folder .. "/none'", nil, folder .. "/none")
    refuses("'" .. folder .. "' is empty; expected one folder per person")
    people(2)
    put("s3/1.pgm", pgm(8, 6, 1))
    refuses("'" .. folder .. "/s3' has 1 image; a person needs 2 or more")
    assert.same({ 7 }, crun.imagefolder(folder, { size = 4, least = 1 }).labels:shape())
    put("s3/2.pgm", pgm(8, 6, 1):sub(1, -5))
    refuses("s3/2.pgm", {})
    put("s3/2.pgm", "P5\n100000 100000\n255\n")
    refuses("s3/2.pgm", {})
    crun.io.remove(folder .. "/s3/2.pgm")
    crun.io.remove(folder .. "/s3/1.pgm")
    refuses("'" .. folder .. "/s3' has no PGM, PPM, PNG or JPEG image; a person needs 2 or more")
    put("s3/1.gif", "x")
    refuses("(1.gif is not one of these formats)")
    refuses("is a file; expected a folder", nil, folder .. "/s1/1.pgm")
    refuses("unknown option 'sise'", { sise = 3 })
    refuses("size must be a number or { height, width }", { size = { 1, 2, 3 } })
  end)

  it("ends a script with 4, at its own line", function()
    crun.io.write_file(folder .. "/s.lua",
      "local crun = require 'crun'\n\ncrun.imagefolder 'none'\n")
    local r = shell.run({ "s.lua" }, { folder = folder })
    assert.equal(4, r.code)
    assert.equal("crun: s.lua:3: imagefolder: there is no folder 'none'\n", r.err)
  end)

  it("splits people in natural order, by name, by share, by seed; no one twice", function()
    people(12)
    local set = crun.imagefolder(folder, { size = 4 })
    local parts = set:split { train = 6, val = 2, test = 4 }
    assert.same({ "s1", "s2", "s3", "s4", "s5", "s6" }, parts.train.names)
    assert.same({ "s9", "s10", "s11", "s12" }, parts.test.names)
    assert.same({ 12, 1, 4, 4 }, parts.test.images:shape())
    for i, label in ipairs(parts.test.labels:totable()) do
      assert.truthy(parts.test.files[i]:find("/" .. parts.test.all_names[label] .. "/", 1, true))
    end
    parts = set:split { test = { "s3", "s1" }, train = "rest" }
    assert.same({ "s3", "s1" }, parts.test.names)
    assert.equal(10, #parts.train.names)
    assert.same({ 1, 5 },
      { parts.train.labels:totable()[1] - 1,
      #set:split({ train = 0.4, val = "rest" }).train.names })
    local one = set:split { train = 6, test = "rest", seed = 1 }
    local two = set:split { train = 6, test = "rest", seed = 2 }
    assert.same(one.train.names, set:split({ train = 6, test = "rest", seed = 1 }).train.names)
    assert.not_same(one.train.names, two.train.names)
    local seen = {}
    for _, part in pairs(one) do
      for _, name in ipairs(part.names) do
        assert.is_nil(seen[name])
        seen[name] = true
      end
    end
  end)

  it("refuses a split that cannot be", function()
    people(4)
    local set = crun.imagefolder(folder, { size = 4 })
    local function cannot(text, parts)
      local ok, message = pcall(set.split, set, parts)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    cannot("test wants 3 people, 1 are left of 4", { train = 3, test = 3 })
    cannot("there is no person 's9'; did you mean", { train = { "s9" } })
    cannot("s1 is in train and in test", { test = { "s1" }, train = { "s1" } })
    cannot("train and val cannot both be the rest", { val = "rest", train = "rest" })
    cannot("val is left with no people", { train = 4, val = "rest" })
    cannot("train must be a number of people, a share, a list of names", { train = true })
  end)
end)
