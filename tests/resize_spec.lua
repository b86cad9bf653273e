local crun = require "crun"
local resize, grayscale = crun.data.resize, crun.data.grayscale

-- byte image of (37 x + 91 y + 13 x y) mod 256, counted from 0
local function picture(height, width, a, b, c)
  local rows = {}
  for y = 0, height - 1 do
    rows[y + 1] = {}
    for x = 0, width - 1 do rows[y + 1][x + 1] = (x * (a or 37) + y * (b or 91) + x * y
        * (c or 13)) % 256 end
  end
  return crun.byte(rows)
end

-- from Pillow 9.4.0: image.resize((w, h), Image.BILINEAR)
local pillow = {
  { 13, 17, 5, 7, { 113, 140, 135, 125, 113, 155, 85, 124, 147, 132, 136, 117, 160, 142, 125, 151,
      147, 150, 130, 164,
    149, 148, 119, 127, 118, 144, 102, 133, 123, 104, 115, 117, 137, 91, 129 } },
  { 4, 5, 7, 9, { 0, 12, 33, 53, 74, 95, 115, 136, 148, 33, 46, 69, 92, 116, 139, 152, 125, 108, 85,
      101, 128, 155, 183,
    210, 211, 106, 43, 137, 156, 187, 161, 122, 153, 170, 131, 107, 170, 192, 227, 157, 60, 96, 129,
        155, 170, 76, 100,
    140, 138, 127, 167, 188, 136, 105, 17, 42, 85, 127, 169, 211, 225, 125, 65 } },
  { 30, 8, 3, 8, { 113, 138, 117, 153, 127, 143, 130, 132, 133, 118, 130, 84, 131, 124, 113, 138,
      132, 129, 128, 92, 137,
    136, 95, 132 } },
  { 40, 3, 11, 1, { 118, 121, 145, 124, 115, 129, 131, 125, 119, 137, 132 } },
}

describe("data.resize", function()
  for _, case in ipairs(pillow) do
    local H, W, h, w, expected = table.unpack(case)
    it(("is Pillow's, byte for byte: %d x %d to %d x %d"):format(H, W, h, w), function()
      local out = resize(picture(H, W), h, w)
      assert.same({h, w}, out:shape())
      assert.same(expected, out:reshape(-1):totable())
    end)
  end

  it("is Pillow's on 100 x 120 to 64 x 64", function()
    local sum = 0
    for _, value in ipairs(resize(picture(100, 120, 7, 11, 3), 64, 64):reshape(-1):totable()) do
      sum = (sum * 31 + value) % 1000003
    end
    assert.equal(506, sum)
  end)

  it("leaves an image of the right size as it is", function()
    local x = picture(6, 7)
    assert.same(x:totable(), resize(x, 6, 7):totable())
  end)

  it("keeps a flat image flat", function()
    for _, tone in ipairs { 0, 1, 127, 255 } do
      local x = resize(crun.full({9, 14}, tone):byte(), 5, 33)
      for _, value in ipairs(x:reshape(-1):totable()) do assert.equal(tone, value) end
    end
  end)

  it("takes each plane of a batch by itself", function()
    local a, b = picture(10, 12), picture(10, 12, 5, 9, 1)
    local both = crun.stack({ a, b }, 1)
    local out = resize(both, 4, 5)
    assert.same(resize(a, 4, 5):totable(), out[1]:totable())
    assert.same(resize(b, 4, 5):totable(), out[2]:totable())
    assert.same({3, 2, 4, 5}, resize(crun.stack({ both, both, both }, 1),
        { height = 4, width = 5 }):shape())
  end)

  it("says what is wrong", function()
    assert.error_matches(function() resize(picture(4, 4), { height = 3 }) end,
        "data.resize: width is missing", 1, true)
    assert.error_matches(function() resize(picture(4, 4), 0, 3) end,
        "data.resize: height must be in 1 .. 65535, got 0", 1, true)
    assert.error_matches(function() resize(crun.zeros(4, 4), 2, 2) end,
        "data.resize: images must be uint8", 1, true)
  end)
end)

describe("data.grayscale", function()
  local function colour()
    local planes = {}
    for k, ab in ipairs { { 37, 91 }, { 53, 17 }, { 101, 29 } } do planes[k] = picture(3, 4, ab[1],
        ab[2], 0) end
    return crun.stack(planes, 1)
  end

  it("is Pillow's convert('L')", function()
    local out = grayscale(colour())
    assert.same({1, 3, 4}, out:shape())
    assert.same({ 0, 54, 107, 132, 40, 94, 148, 172, 81, 135, 83, 136 }, out:reshape(-1):totable())
  end)

  it("takes batches, keeps grey grey", function()
    local x = picture(3, 4)
    local out = grayscale(crun.stack({ crun.stack({ x, x, x }, 1), colour() }, 1))
    assert.same({2, 1, 3, 4}, out:shape())
    assert.same(x:totable(), out[1][1]:totable())
  end)

  it("says what is wrong", function()
    assert.error_matches(function() grayscale(crun.zeros(4, 2, 2):byte()) end,
        "data.grayscale: images must have shape", 1, true)
  end)
end)
