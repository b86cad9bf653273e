local crun = require "crun"
local fs = crun.io

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return text
end

-- A reader written from the specification: TFRecord frames, then protocol buffer fields { [number] = { values } }.
local function masked(s)
  local crc = fs.crc32c(s)
  return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff
end
local function records(text)
  local list, at = {}, 1
  while at <= #text do
    local n, check = string.unpack("<I8I4", text, at)
    assert.equal(masked(text:sub(at, at + 7)), check)
    local data = text:sub(at + 12, at + 11 + n)
    assert.equal(n, #data)
    assert.equal(masked(data), (string.unpack("<I4", text, at + 12 + n)))
    list[#list + 1] = data
    at = at + 16 + n
  end
  return list
end
local function varint(s, at)
  local value, shift = 0, 0
  while true do
    local byte = s:byte(at)
    value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
    if byte < 128 then return value, at end
  end
end
local function fields(s)
  local all, at = {}, 1
  while at <= #s do
    local key, value, n
    key, at = varint(s, at)
    local wire = key & 7
    if wire == 0 then value, at = varint(s, at)
    elseif wire == 1 then value, at = string.unpack("<d", s, at)
    elseif wire == 5 then value, at = string.unpack("<f", s, at)
    else
      assert.equal(2, wire)
      n, at = varint(s, at)
      value, at = s:sub(at, at + n - 1), at + n
      assert.equal(n, #value)
    end
    local list = all[key >> 3] or {}
    all[key >> 3], list[#list + 1] = list, value
  end
  return all
end
local function event(record)
  local e = fields(record)
  local summary = e[5] and fields(e[5][1])
  return { wall = e[1][1], step = e[2] and e[2][1], version = e[3] and e[3][1], value = summary and fields(summary[1][1]) }
end
local function doubles(s)
  local list = {}
  for at = 1, #s, 8 do list[#list + 1] = (string.unpack("<d", s, at)) end
  return list
end
local function only_file(dir)
  local names = fs.list(dir)
  assert.equal(1, #names)
  return dir .. "/" .. names[1]
end
local function written(dir) return records(fs.read_file(only_file(dir))) end
local function plugin(value)
  local data = fields(fields(value[9][1])[1][1])
  assert.equal("hparams", data[1][1])
  return fields(data[2][1])
end

describe("event files", function()
  local dir
  before_each(function() dir = fs.tmpdir() end)
  after_each(function() fs.fail_at(0) fs.remove_tree(dir) end)

  it("begin with the version and are named as TensorBoard expects", function()
    local w = fs.events(dir .. "/new/folder")
    assert.matches("^" .. fs.realpath(dir) .. "/new/folder/events%.out%.tfevents%.%d%d%d%d%d%d%d%d%d%d%..+%." .. fs.getpid() .. "%.%d+$", w:path())
    local first = event(written(dir .. "/new/folder")[1])
    assert.equal("brain.Event:2", first.version)
    assert.is_true(math.abs(first.wall - fs.time()) < 60)
    assert.is_true(fs.events(dir):path() ~= fs.events(dir):path())
  end)
  it("hold scalars", function()
    local w = fs.events(dir)
    w:scalar("train/loss", 0.5, 7)
    w:scalar("é", crun.scalar(-2), 1 << 40)
    w:scalar("nan", 0 / 0, -1)
    local list = written(dir)
    local a, b, c = event(list[2]), event(list[3]), event(list[4])
    assert.same({ "train/loss", 0.5, 7 }, { a.value[1][1], a.value[2][1], a.step })
    assert.same({ "é", -2.0, 1 << 40 }, { b.value[1][1], b.value[2][1], b.step })
    assert.is_true(c.value[2][1] ~= c.value[2][1])
    assert.equal(-1, c.step)
  end)
  it("hold histograms of the finite values", function()
    local w = fs.events(dir)
    w:histogram("w", crun.tensor { 0, 1, 64, 0.5, 1 / 0, 0 / 0, -1 / 0 }, 3)
    w:histogram("same", crun.int { 5, 5, 5 }, 3)
    w:histogram("empty", crun.zeros(0), 3)
    local list = written(dir)
    local h = fields(event(list[2]).value[5][1])
    assert.same({ 0, 64, 4, 65.5, 4097.25 }, { h[1][1], h[2][1], h[3][1], h[4][1], h[5][1] })
    local limits, counts = doubles(h[6][1]), doubles(h[7][1])
    assert.same({ 64, 64, 1, 64 }, { #limits, #counts, limits[1], limits[64] })
    assert.same({ 2, 1, 0, 1 }, { counts[1], counts[2], counts[3], counts[64] })
    h = fields(event(list[3]).value[5][1])
    assert.same({ { 5 }, { 3 } }, { doubles(h[6][1]), doubles(h[7][1]) })
    h = fields(event(list[4]).value[5][1])
    assert.same({ 0, { 0 } }, { h[3][1], doubles(h[7][1]) })
  end)
  it("hold images", function()
    local w = fs.events(dir)
    w:image("faces", crun.byte {{1, 2, 3}, {4, 5, 6}}, 9)
    w:image("colour", crun.zeros(3, 1, 2):byte(), 9)
    local list = written(dir)
    local i = fields(event(list[2]).value[4][1])
    assert.same({ 2, 3, 1 }, { i[1][1], i[2][1], i[3][1] })
    assert.same({{{1, 2, 3}, {4, 5, 6}}}, fs.decode_image(i[4][1]):totable())
    i = fields(event(list[3]).value[4][1])
    assert.same({ 1, 2, 3 }, { i[1][1], i[2][1], i[3][1] })
  end)
  it("hold the HParams records", function()
    do
      local w <close> = fs.events(dir)
      w:experiment({ lr = 0, loss = "", flip = true }, { "test/map@r", "loss" })
      w:hparams({ lr = 0.25, loss = "triplet", flip = false }, "group-1")
    end
    local list = written(dir)
    assert.equal(4, #list)
    local value = event(list[2]).value
    assert.equal("_hparams_/experiment", value[1][1])
    local experiment = fields(plugin(value)[2][1])
    local infos, metrics = {}, {}
    for i, info in ipairs(experiment[4]) do infos[i] = { fields(info)[1][1], fields(info)[4][1] } end
    for i, info in ipairs(experiment[5]) do metrics[i] = fields(fields(info)[1][1])[2][1] end
    assert.same({ { "flip", 2 }, { "loss", 1 }, { "lr", 3 } }, infos)
    assert.same({ "test/map@r", "loss" }, metrics)

    value = event(list[3]).value
    assert.equal("_hparams_/session_start_info", value[1][1])
    local start = fields(plugin(value)[3][1])
    local settings = {}
    for _, pair in ipairs(start[1]) do
      local v = fields(fields(pair)[2][1])
      settings[fields(pair)[1][1]] = { v[2] and v[2][1], v[3] and v[3][1], v[4] and v[4][1] }
    end
    assert.same({ lr = { 0.25 }, loss = { nil, "triplet" }, flip = { nil, nil, 0 } }, settings)
    assert.equal("group-1", start[4][1])
    assert.is_true(math.abs(start[5][1] - fs.time()) < 60)

    value = event(list[4]).value
    assert.equal("_hparams_/session_end_info", value[1][1])
    assert.equal(1, fields(plugin(value)[4][1])[1][1])
  end)
  it("say that a run failed when a scope ends in an error", function()
    pcall(function()
      local w <close> = fs.events(dir)
      w:hparams { lr = 1 }
      error "no"
    end)
    assert.equal(2, fields(plugin(event(written(dir)[3]).value)[4][1])[1][1])
  end)
  it("stay whole when the disk is full", function()
    local w = fs.events(dir)
    w:scalar("a", 1, 1)
    for n = 1, 2 do
      fs.fail_at(n)
      assert.matches("io.events.scalar: cannot append to '.*tfevents.*': No space left", message(w.scalar, w, "a", 1, 2))
      fs.fail_at(0)
    end
    w:scalar("a", 1, 3)
    assert.equal(3, #written(dir))
  end)
  it("refuse what cannot be written, at the caller's line", function()
    local w = fs.events(dir)
    assert.matches("events_spec.lua:%d+: io.events.scalar: value must be a number, got a string$", message(function() w:scalar("a", "x", 1) end))
    assert.matches("step must be a whole number, got nothing", message(w.scalar, w, "a", 1))
    assert.matches("step must be a whole number", message(w.scalar, w, "a", 1, 1.5))
    assert.matches("a text that is not UTF%-8", message(w.scalar, w, "a\xff", 1, 1))
    assert.matches("an image must be uint8", message(w.image, w, "a", crun.zeros(2, 2), 1))
    assert.matches("the tensor must be a tensor", message(w.histogram, w, "a", 1, 1))
    assert.matches("'x' must be a number, a text or a flag, got a table", message(w.hparams, w, { x = {} }))
    assert.matches("metrics must be a list of tags", message(w.experiment, w, {}))
    assert.matches("call it as w:scalar", message(w.scalar, 1))
    w:close()
    w:close()
    assert.matches("the writer is closed", message(w.scalar, w, "a", 1, 1))
    assert.equal(1, #written(dir))
    fs.write_file(dir .. "/file", "")
    assert.matches("cannot make the folder", message(fs.events, dir .. "/file/x"))
  end)
end)
