local crun = require "crun"
local fs = crun.io

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return text
end
local function read(text) return fs.decode_image(text):totable() end

describe("PGM and PPM", function()
  it("are read in their four kinds", function()
    assert.same({{{0, 128, 255}, {1, 2, 3}}}, read "P2\n3 2\n255\n0 128 255\n1 2 3\n")
    assert.same({{{0, 128, 255}, {1, 2, 3}}}, read "P5 3 2 255\n\0\128\255\1\2\3")
    assert.same({{{1, 4}}, {{2, 5}}, {{3, 6}}}, read "P3 2 1 255 1 2 3 4 5 6")
    assert.same({{{1, 4}}, {{2, 5}}, {{3, 6}}}, read "P6\t2\r1\n255 \1\2\3\4\5\6")
  end)
  it("may have comments anywhere in the header", function()
    assert.same({{{7, 9}}}, read "P5 # made by hand\n# two\n2#x\n 1\n#y\n255\n\7\9")
    assert.same({{{7, 9}}}, read "P2 2 1 255 7 # seven\n9")
    assert.equal(35, fs.decode_image("P5 1 1 255\n#"):item())       -- the first sample may look like one
  end)
  it("are scaled to 0 .. 255, rounded", function()
    assert.same({{{0, 64, 128, 191, 255}}}, read "P2 5 1 4 0 1 2 3 4")
    assert.same({{{0, 255}}}, read "P2 2 1 1 0 1")
    assert.same({{{0, 128, 255}}}, read("P5 3 1 65535\n" .. string.pack(">I2I2I2", 0, 32768, 65535)))
    assert.same({{{85, 255}}}, read("P5 2 1 3\n\1\3"))
  end)
  it("are written as P5 and P6", function()
    assert.equal("P5\n3 2\n255\n\0\128\255\1\2\3", fs.encode_pgm(crun.byte {{0, 128, 255}, {1, 2, 3}}))
    assert.equal("P5\n1 2\n255\n\1\2", fs.encode_pgm(crun.byte {{{1}, {2}}}))
    assert.equal("P6\n2 1\n255\n\1\2\3\4\5\6", fs.encode_pgm(crun.byte {{{1, 4}}, {{2, 5}}, {{3, 6}}}))
    assert.equal("P5\n2 2\n255\n\1\3\2\4", fs.encode_pgm(crun.byte {{1, 2}, {3, 4}}:t()))
  end)
  it("are refused when they lie", function()
    for text, expected in pairs {
      ["P5 100000 100000 255\n"] = "claims 100000 x 100000 pixels, at most 67108864",
      ["P5 99999999 99999999 255\n"] = "claims 99999999 x 99999999 pixels",
      ["P5 4294967297 1 255\n\1"] = "the width has too many digits",
      ["P5 0 1 255\n"] = "an image without pixels",
      ["P5 2 2 255\n\1\2\3"] = "2 x 2 pixels need 4 bytes, the file has 3 more",
      ["P5 2 1 256\n\1\2\3"] = "2 x 1 pixels need 4 bytes, the file has 3 more",
      ["P2 2 2 255\n1 2 3"] = "2 x 2 pixels need 7 bytes, the file has 5 more",
      ["P2 8000 8000 255\n1 2 3"] = "8000 x 8000 pixels need 127999999 bytes",
      ["P5 1 1 0\n\1"] = "largest value 0, expected 1 to 65535",
      ["P5 1 1 65536\n\1\1"] = "largest value 65536, expected",
      ["P2 2 1 9\n1 10"] = "sample 2 is 10, at most 9 expected",
      ["P5 2 1 9\n\1\10"] = "sample 2 is 10, at most 9 expected",
      ["P2 2 1 255\n1   "] = "expected a sample, but the file ends",
      ["P2 2 1 255\n1 x "] = "expected a sample, got byte 0x78",
      ["P2 2 1 255\n1 -2"] = "expected a sample, got byte 0x2d",
      ["P5 x 1 255\n\1"] = "expected the width, got byte 0x78",
      ["P5 1 1 255"] = "expected a blank behind the largest value",
      ["P5 1 1 255x\1"] = "expected a blank behind the largest value",
      ["P5 1"] = "expected the height, but the file ends",
      ["P4 1 1 \1"] = "expected P2, P3, P5 or P6",
      ["GIF89a"] = "not an image: expected a PNG, JPEG, PGM or PPM file",
      [""] = "not an image",
    } do
      assert.matches(expected, message(fs.decode_image, text))
    end
    assert.matches("claims 3 x 3 pixels, at most 8 in all", message(fs.decode_image, "P5 3 3 255\n123456789", 8))
    assert.matches("must be uint8, got " .. crun.precision, message(fs.encode_pgm, crun.zeros(2, 2)))
    assert.matches("shape %[H, W%], %[1, H, W%] or %[3, H, W%], got %[2, 2, 2%]", message(fs.encode_pgm, crun.zeros(2, 2, 2):byte()))
  end)
  it("fail wherever a file is cut", function()
    for _, text in ipairs { "P5 # c\n3 2 255\n\0\128\255\1\2\3", "P6 1 1 65535\n\1\2\3\4\5\6", "P3 1 1 255\n1 20 3" } do
      for n = 0, #text - 1 do assert.is_false((pcall(fs.decode_image, text:sub(1, n)))) end
      assert.is_truthy(fs.decode_image(text))
    end
  end)
  it("go through files", function()
    local path = fs.tmpname()
    fs.write_pgm(path, crun.byte {{1, 2}})
    assert.same({{{1, 2}}}, fs.read_image(path):totable())
    fs.write_file(path, "P5 2 2 255\n")
    assert.matches("io.read_image: " .. path .. ": PGM: 2 x 2 pixels need", message(fs.read_image, path), 1, true)
    fs.remove(path)
  end)
end)
