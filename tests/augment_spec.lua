local crun = require "crun"
local augment = crun.data.augment

local images = crun.data.faces { identities = 5, per_identity = 4, size = 24 }
local everything = { flip = 0.5, shift = 0.1, scale = 0.2, rotation = 15, brightness = 0.1,
    contrast = 0.3, blur = 1,
                     erase = 0.5, seed = 3, epoch = 2 }

local function with(more)
  local o = {}
  for k, v in pairs(everything) do o[k] = v end
  for k, v in pairs(more or {}) do o[k] = v end
  return o
end

local function range(x)
  local numbers = x:reshape(-1):totable()
  return math.min(table.unpack(numbers)), math.max(table.unpack(numbers))
end

local function equal(a, b) return crun.allclose(a, b, 0, 0) end

describe("data.augment", function()
  it("is byte / 255 when nothing is asked for", function()
    assert.is_true(equal(images:real() / 255, augment(images)))
    local rows = crun.int{7, 7, 20, 1}
    assert.is_true(equal(images:real():index_select(rows, 1) / 255, augment(images, rows)))
  end)

  it("normalises with mean and std", function()
    local x = augment(images, { mean = 0.5, std = 0.25 })
    assert.is_true(crun.allclose((images:real() / 255 - 0.5) / 0.25, x, 1e-6, 1e-6))
  end)

  it("hangs on the row, not on its place in the batch, its size or the threads", function()
    local before = crun.threads()
    crun.threads(1)
    local all = augment(images, everything)
    crun.threads(2)
    assert.is_true(equal(all, augment(images, everything)))
    crun.threads(before)
    local rows = crun.int{13, 2, 13, 20}
    local some = augment(images, rows, everything)
    for i, row in ipairs(rows:totable()) do assert.is_true(equal(all[row], some[i])) end
  end)

  it("hangs on samples where they are given", function()
    local same = crun.int{4, 4, 4}
    local x = augment(images, same, crun.int{1, 2, 1}, everything)
    assert.is_true(equal(x[1], x[3]))
    assert.is_false(equal(x[1], x[2]))
    assert.is_true(equal(augment(images, crun.int{4}, nil, everything)[1],
                         augment(images, crun.int{4}, crun.int{4}, everything)[1]))
  end)

  it("changes with seed and epoch", function()
    local x = augment(images, everything)
    assert.is_false(equal(x, augment(images, with { epoch = 3 })))
    assert.is_false(equal(x, augment(images, with { seed = 4 })))
  end)

  it("mirrors exactly", function()
    local flipped = augment(images, { flip = 1 })
    local first, mirror = images[1][1]:totable(), flipped[1][1]:totable()
    for y = 1, 24 do
      for x = 1, 24 do assert.near(first[y][x] / 255, mirror[y][25 - x], 1e-6) end
    end
    local half, n = augment(images, { flip = 0.5 }), 0
    local plain = augment(images)
    for i = 1, 20 do n = n + (equal(half[i], plain[i]) and 1 or 0) end
    assert.is_true(n > 2 and n < 18)
  end)

  it("draws each change apart from the others", function()
    -- the mirror images of a run with a blur are those of one without
    local a, b = augment(images, { flip = 0.5 }), augment(images,
        { flip = 0.5, brightness = 0.0001, contrast = 0.0001 })
    assert.is_true(crun.allclose(a, b, 0, 1e-3))
  end)

  it("turns a ramp by the angle asked for", function()
    -- x + 2 y on a large field: bilinear sampling of a plane is exact, the slope turns, the middle
    -- stays
    local ramp = {}
    for y = 1, 41 do
      ramp[y] = {}
      for x = 1, 41 do ramp[y][x] = x + 2 * y end
    end
    local field = crun.byte(ramp):reshape(1, 1, 41, 41)
    for epoch = 1, 5 do
      local out = (augment(field, { rotation = 30, epoch = epoch }) * 255)[1][1]:totable()
      assert.near(63, out[21][21], 1e-3)
      local across, down = out[21][22] - 63, out[22][21] - 63
      assert.near(5, across ^ 2 + down ^ 2, 1e-2)
      assert.is_true(math.deg(math.acos((across + 2 * down) / 5)) <= 30.1)
    end
  end)

  it("moves by no more than shift, grows by no more than scale", function()
    local ramp = {}
    for y = 1, 40 do
      ramp[y] = {}
      for x = 1, 40 do ramp[y][x] = 4 * x end
    end
    local field = crun.byte(ramp):reshape(1, 1, 40, 40)
    for epoch = 1, 10 do
      local moved = (augment(field, { shift = 0.1, epoch = epoch }) * 255)[1][1]:totable()
      assert.is_true(math.abs(moved[20][20] - 80) <= 4 * 4 + 1e-3)
      assert.near(4, moved[20][21] - moved[20][20], 1e-3)
      local grown = (augment(field, { scale = 0.25, epoch = epoch }) * 255)[1][1]:totable()
      local slope = (grown[20][21] - grown[20][20]) / 4
      assert.is_true(slope > 1 / 1.251 and slope < 1.251)
    end
  end)

  it("keeps the sum of a dot when it blurs", function()
    local dot = crun.zeros(1, 1, 33, 33):byte()
    dot[1][1][17][17] = 255
    local out = augment(dot, { blur = 5, epoch = 1 })
    assert.near(1, out:sum():item(), 1e-5)
    assert.is_true(select(2, range(out)) < 0.5)
  end)

  it("blanks one rectangle with the mean", function()
    local board = crun.zeros(1, 1, 20, 20):byte()
    for i = 1, 20, 2 do board[1][1][i]:fill_(255) end
    for epoch = 1, 10 do
      local out = augment(board, { erase = 1, erase_area = 0.3, epoch = epoch })
      local n, top, bottom, left, right = 0, 99, 0, 99, 0
      for y, line in ipairs(out[1][1]:totable()) do
        for x, value in ipairs(line) do
          if value ~= 0 and value ~= 1 then
            assert.near(0.5, value, 1e-6)
            n, top, bottom = n + 1, math.min(top, y), math.max(bottom, y)
            left, right = math.min(left, x), math.max(right, x)
          end
        end
      end
      if n > 0 then assert.equal((bottom - top + 1) * (right - left + 1), n) end
      assert.is_true(n <= 0.36 * 400)
    end
  end)

  it("crops a window", function()
    local x = augment(images, { crop = { 10, 16 }, crop_at = "centre" })
    assert.same({20, 1, 10, 16}, x:shape())
    local plain = augment(images):narrow(3, 8, 10):narrow(4, 5, 16)
    assert.is_true(equal(plain:contiguous(), x))
    assert.same({20, 1, 12, 12}, augment(images, { crop = 12 }):shape())
  end)

  it("stays within 0 .. 1", function()
    local x = augment(images, crun.int{1, 8, 20}, with { brightness = 1, contrast = 1 })
    local least, most = range(x)
    assert.is_true(least >= 0 and most <= 1)
  end)

  it("treats the channels of a sample alike", function()
    local grey = images:narrow(1, 1, 3)
    local colour = crun.cat({ grey, grey, grey }, 2)
    local x, y = augment(grey, everything), augment(colour, everything)
    for k = 1, 3 do assert.is_true(crun.allclose(x, y:narrow(2, k, 1):contiguous(), 1e-6, 1e-6)) end
  end)

  it("says what is wrong", function()
    local function message(...)
      local ok, text = pcall(augment, ...)
      assert.is_false(ok)
      return text
    end
    assert.matches("data.augment: rows[2] must be in 1 .. 20, got 21",
        message(images, crun.int{1, 21}), 1, true)
    assert.matches("data.augment: rows[1] must be in 1 .. 20, got 0", message(images, crun.int{0}),
        1, true)
    assert.matches("data.augment: crop of 30 x 24 does not fit into images of 24 x 24",
                   message(images, { crop = { 30, 24 } }), 1, true)
    assert.matches("data.augment: flip must be in 0 .. 1, got 2", message(images, { flip = 2 }), 1,
        true)
    assert.matches("data.augment: samples must have shape [B] with B = 2",
        message(images, crun.int{1, 2}, crun.int{1}), 1, true)
  end)
end)
