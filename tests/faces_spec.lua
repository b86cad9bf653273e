local crun = require "crun"
local faces = crun.data.faces

local dials = { "shift", "scale", "rotation", "turn", "light", "expression", "spectacles", "beard",
    "cap", "noise",
                "background" }

local function with(value, more)
  local o = {}
  for _, dial in ipairs(dials) do o[dial] = value end
  for k, v in pairs(more or {}) do o[k] = v end
  return o
end

local function equal(a, b) return crun.allclose(a:real(), b:real(), 0, 0) end

-- mean absolute difference over a window of rows and columns, in grey levels
local function differ(a, b, top, bottom, left, right)
  local function cut(x) return x:narrow(1, top, bottom - top + 1):narrow(2, left,
      right - left + 1):real() end
  return (cut(a) - cut(b)):abs():mean():item()
end

describe("data.faces", function()
  it("gives bytes and the numbers of people", function()
    local images, labels = faces { identities = 3, per_identity = 2, first = 7, size = 32 }
    assert.same({6, 1, 32, 32}, images:shape())
    assert.equal("uint8", images:dtype())
    assert.same({7, 7, 8, 8, 9, 9}, labels:totable())
  end)

  it("draws the same bits again, with any number of threads", function()
    local o = { identities = 5, per_identity = 7, seed = 3 }
    local before = crun.threads()
    crun.threads(1)
    local one = faces(o)
    crun.threads(2)
    local two = faces(o)
    crun.threads(before)
    assert.is_true(equal(one, two))
    o.seed = 4
    assert.is_false(equal(one, (faces(o))))
  end)

  it("draws a person alone as among others", function()
    local all = faces { identities = 4, per_identity = 3, size = 24 }
    local third = faces { first = 3, identities = 1, per_identity = 3, size = 24 }
    assert.is_true(equal(all:narrow(1, 7, 3), third))
    local later = faces { first = 3, identities = 1, per_identity = 1, first_image = 3, size = 24 }
    assert.is_true(equal(all:narrow(1, 9, 1), later))
  end)

  it("draws a person always alike with every dial at 0, and people apart", function()
    local x = faces(with(0, { identities = 4, per_identity = 3, size = 32 }))
    for person = 0, 3 do
      for k = 2, 3 do assert.is_true(equal(x[3 * person + 1], x[3 * person + k])) end
    end
    for person = 1, 3 do assert.is_true(differ(x[1][1], x[3 * person + 1][1], 1, 32, 1, 32) > 5) end
  end)

  for _, dial in ipairs(dials) do
    it("has a dial for " .. dial .. " that works alone", function()
      local o = { identities = 1, per_identity = 24, size = 32 }
      local still = faces(with(0, o))
      local changed = faces(with(0, { identities = 1, per_identity = 24, size = 32, [dial] = 2 }))
      local n = 0
      for i = 1, 24 do n = n + (equal(still[i], changed[i]) and 0 or 1) end
      assert.is_true(n >= 3, ("%d of 24 pictures changed"):format(n))
      -- and leaves what the others draw alone: no dial, no change
      assert.is_true(equal(still,
          (faces(with(0, { identities = 1, per_identity = 24, size = 32, [dial] = 0 })))))
    end)
  end

  it("moves only what the dial is for", function()
    local o = { identities = 6, per_identity = 4, size = 64 }
    local still = faces(with(0, o))
    o.background = 2
    local background = faces(with(0, o))
    o.background, o.expression = nil, 1
    local expression = faces(with(0, o))
    for i = 1, 24 do
      -- the middle of the face does not see the background; the corners above do not see the face
      assert.equal(0, differ(still[i][1], background[i][1], 30, 36, 28, 36))
      assert.equal(0, differ(still[i][1], expression[i][1], 1, 8, 1, 8))
      assert.is_true(differ(still[i][1], background[i][1], 1, 8, 1, 8) > 0)
    end
  end)

  it("gives each accessory a chance of its own", function()
    local plain = with(0, { identities = 100, per_identity = 1, size = 16 })
    local still = faces(plain)
    local chance = { spectacles = 0.25, beard = 0.22, cap = 0.12 }
    for accessory, p in pairs(chance) do
      plain[accessory] = 1
      local x = faces(plain)
      plain[accessory] = 0
      local n = 0
      for i = 1, 100 do n = n + (equal(still[i], x[i]) and 0 or 1) end
      assert.near(100 * p, n, 4 * math.sqrt(100 * p * (1 - p)))
    end
  end)

  it("is hard for raw pixels: MAP@R of unseen people under 0.35, above chance", function()
    local images = faces { first = 201, identities = 60, per_identity = 20 }
    local map = dofile("datasets/faces/look.lua").map_at_r(images, 20)
    assert.is_true(map < 0.35 and map > 0.05, ("%.3f"):format(map))
  end)

  it("says what is wrong", function()
    assert.error_matches(function() faces { size = 4 } end,
        "data.faces: size must be in 8 .. 256, got 4", 1, true)
    assert.error_matches(function() faces { hats = 1 } end, "data.faces: unknown option 'hats'", 1,
        true)
  end)
end)
