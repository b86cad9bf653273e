local crun = require "crun"
local fs = crun.io

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return text
end

-- PNG files made by hand: stored (uncompressed) deflate, CRC-32 and Adler-32 as in the specification
local function crc32(s)
  local crc = 0xffffffff
  for i = 1, #s do
    crc = crc ~ s:byte(i)
    for _ = 1, 8 do crc = (crc & 1 == 1) and (crc >> 1 ~ 0xedb88320) or crc >> 1 end
  end
  return crc ~ 0xffffffff
end
local function zlib(s)
  local a, b = 1, 0
  for i = 1, #s do a = (a + s:byte(i)) % 65521 b = (b + a) % 65521 end
  return "\x78\1\1" .. string.pack("<I2I2", #s, ~#s & 0xffff) .. s .. string.pack(">I2I2", b, a)
end
local function chunk(kind, data) return string.pack(">I4", #data) .. kind .. data .. string.pack(">I4", crc32(kind .. data)) end
local signature = "\x89PNG\r\n\x1a\n"
local function ihdr(w, h, bits, kind, interlace) return chunk("IHDR", string.pack(">I4I4BBBBB", w, h, bits, kind, 0, 0, interlace or 0)) end
-- rows come with their filter byte 0
local function png(w, h, bits, kind, rows, before, interlace)
  return signature .. ihdr(w, h, bits, kind, interlace) .. (before or "") .. chunk("IDAT", zlib(rows)) .. chunk("IEND", "")
end
local GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
local function read(...) return fs.decode_image(png(...)):totable() end

describe("PNG", function()
  it("is read in every kind of pixel", function()
    assert.same({{{1, 2}, {3, 255}}}, read(2, 2, 8, GREY, "\0\1\2\0\3\255"))
    assert.same({{{255, 0, 255, 0}}}, read(4, 1, 1, GREY, "\0\xa0"))
    assert.same({{{0, 85, 170, 255}}}, read(4, 1, 2, GREY, "\0\x1b"))
    assert.same({{{17, 255}}}, read(2, 1, 4, GREY, "\0\x1f"))
    assert.same({{{0, 128, 255}}}, read(3, 1, 16, GREY, "\0\0\0\x80\0\xff\xff"))
    assert.same({{{1, 4}}, {{2, 5}}, {{3, 6}}}, read(2, 1, 8, RGB, "\0\1\2\3\4\5\6"))
    assert.same({{{255}}, {{0}}, {{1}}}, read(1, 1, 16, RGB, "\0\xff\xff\0\0\1\1"))
    assert.same({{{9}}}, read(1, 1, 8, GREY_ALPHA, "\0\9\0"))
    assert.same({{{1}}, {{2}}, {{3}}}, read(1, 1, 8, RGBA, "\0\1\2\3\0"))
    assert.same({{{7, 4}}, {{8, 5}}, {{9, 6}}}, read(2, 1, 2, PALETTE, "\0\x40", chunk("PLTE", "\4\5\6\7\8\9")))
    assert.same({{{5}}}, read(1, 1, 8, GREY, "\0\5", nil, 1))               -- interlaced: one pass has the one pixel
  end)
  it("ignores what does not change pixels, even when it is wrong", function()
    local nonsense = chunk("iCCP", "bad profile") .. chunk("gAMA", "\0\0\0\1") .. chunk("tEXt", ("x"):rep(200000)) .. chunk("prIv", "?")
    assert.same({{{1, 2}}}, read(2, 1, 8, GREY, "\0\1\2", nonsense))
    assert.same({{{1, 2}}}, read(2, 1, 8, GREY, "\0\1\2", chunk("tRNS", "\0\1")))
  end)
  it("comes back as it was written, and always in the same bytes", function()
    local grey, colour = crun.zeros(5, 7):byte(), crun.zeros(3, 4, 2):byte()
    for i = 1, 5 do for j = 1, 7 do grey[i][j] = (i * 50 + j) % 256 end end
    for c = 1, 3 do for i = 1, 4 do for j = 1, 2 do colour[c][i][j] = c * 60 + i * 8 + j end end end
    assert.same({grey:totable()}, fs.decode_image(fs.encode_png(grey)):totable())
    assert.same(colour:totable(), fs.decode_image(fs.encode_png(colour)):totable())
    assert.same({colour[2]:t():totable()}, fs.decode_image(fs.encode_png(colour[2]:t())):totable())
    assert.equal(fs.encode_png(colour), fs.encode_png(colour:clone()))
  end)
  it("that claims 100000 x 100000 is refused at once", function()
    local before, start = crun.memory().peak, os.clock()
    assert.matches("PNG: it claims 100000 x 100000 pixels, at most 67108864",
      message(fs.decode_image, signature .. ihdr(100000, 100000, 8, RGB) .. chunk("IDAT", zlib "\0") .. chunk("IEND", "")))
    assert.matches("claims 4294967295 x 4294967295", message(fs.decode_image, png(0xffffffff, 0xffffffff, 8, GREY, "\0")))
    assert.matches("the file is too short for the size it claims", message(fs.decode_image, png(8000, 8000, 8, GREY, "\0\1")))
    assert.matches("at most 3 in all", message(fs.decode_image, png(2, 2, 8, GREY, "\0\1\2\0\3\4"), 3))
    assert.is_true(os.clock() - start < 0.25)
    assert.is_true(crun.memory().peak - before < 1 << 20)
  end)
  it("is refused when it lies", function()
    local good = png(2, 1, 8, GREY, "\0\1\2")
    for _, case in ipairs {
      { png(0, 1, 8, GREY, "\0"), "an image without pixels" },
      { png(1, 1, 3, GREY, "\0\1"), "PNG: .*IHDR" },
      { png(1, 1, 8, 5, "\0\1"), "PNG: .*IHDR" },
      { png(1, 1, 4, PALETTE, "\0\0"), "PNG: .*PLTE" },
      { png(2, 1, 8, GREY, "\0\1"), "PNG: " },
      { png(2, 1, 8, GREY, "\9\1\2"), "PNG: .*filter" },
      { png(2, 1, 8, GREY, "\0\1\2\3\4\5\6\7"), "PNG: " },
      { good:gsub("IDAT", "IDAU"), "PNG: " },
      { good:sub(1, -5) .. "abcd", "PNG: .*CRC" },
      { good:gsub("IHDR", "IHDS"), "first chunk is no IHDR" },
      { signature, "cut short, or its first chunk" },
      { "\x89PNG\n", "does not begin with the PNG signature" },
      { signature .. ihdr(1, 1, 8, GREY) .. chunk("IEND", ""), "PNG: " },
      { signature .. ihdr(1, 1, 8, GREY) .. string.pack(">I4", 0x7fffffff) .. "IDAT", "PNG: " },
      { signature .. ihdr(1, 1, 8, GREY) .. chunk("CRIT", "?") .. chunk("IDAT", zlib "\0\1") .. chunk("IEND", ""), "PNG: .*CRIT" },
    } do
      assert.matches(case[2], message(fs.decode_image, case[1]))
    end
  end)
  it("fails wherever a file is cut, and leaks nothing", function()
    collectgarbage() collectgarbage()
    local live = crun.memory().live
    for _, text in ipairs { fs.encode_png(crun.byte {{1, 2, 3}, {4, 5, 6}}), png(2, 1, 8, RGB, "\0\1\2\3\4\5\6", chunk("tEXt", "k\0v")),
                            png(3, 3, 8, RGB, "\0\1\2\3\0\4\5\6\0\7\8\9\1\2\3", nil, 1) } do
      for n = 0, #text - 1 do assert.is_false((pcall(fs.decode_image, text:sub(1, n)))) end
    end
    collectgarbage() collectgarbage()
    assert.equal(live, crun.memory().live)
  end)
  it("never does more than fail on damaged files", function()
    local base = { png(3, 2, 8, RGB, "\0\1\2\3\4\5\6\7\8\9\0\1\2\3\4\5\6\7\8\9"), fs.encode_png(crun.zeros(3, 20, 20):byte()),
                   png(4, 1, 2, PALETTE, "\0\x1b", chunk("PLTE", "\4\5\6\7\8\9\1\2\3\4\5\6")) }
    math.randomseed(8)
    for i = 1, 6000 do
      local text = base[i % 3 + 1]
      local at = math.random(9, #text)
      text = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1)
      if i % 2 == 0 then                                                    -- with its checksums made good again
        local parts, place = { signature }, 9
        while place + 11 <= #text do
          local n = string.unpack(">I4", text, place)
          if n > #text - place - 11 then break end
          parts[#parts + 1] = chunk(text:sub(place + 4, place + 7), text:sub(place + 8, place + 7 + n))
          place = place + 12 + n
        end
        text = table.concat(parts)
      end
      pcall(fs.decode_image, text)
    end
  end)
  it("leaks nothing when the n-th allocation fails", function()
    local core = require "crun.core"
    local image = crun.zeros(3, 8, 8):byte()
    local text = fs.encode_png(image)
    local function live() collectgarbage() collectgarbage() return crun.memory().live end
    for _, f in ipairs { function() fs.decode_image(text) end, function() fs.encode_png(image) end } do
      local before = live()
      for n = 1, 100 do
        core.fail_at(n)
        local ok, err = pcall(f)
        core.fail_at(0)
        assert.equal(before, live())
        if ok then
          assert.is_true(n > 3)
          break
        end
        assert.is_true(n < 100)
        assert.is_string(err)
      end
    end
  end)
  it("goes through files and names them", function()
    local path = fs.tmpname()
    fs.write_png(path, crun.byte {{1, 2}})
    assert.same({{{1, 2}}}, fs.read_image(path):totable())
    fs.write_file(path, fs.read_file(path):sub(1, 40))
    assert.matches("png_spec.lua:%d+: io.read_image: " .. path .. ": PNG: the file is cut short", message(function() fs.read_image(path) end))
    fs.remove(path)
    assert.matches("an image must be uint8", message(fs.write_png, path, crun.zeros(2, 2)))
    assert.is_false(fs.exists(path))
  end)
end)
