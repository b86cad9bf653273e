-- data.digits: written by the number of the writer, the same however drawn.
local crun = require "crun"
local digits = crun.data.digits
local dials = { "shape", "place", "order", "weight" }

local function equal(a, b) return crun.allclose(a:real(), b:real(), 0, 0) end

local function all(value, more)
  local o = {}
  for _, dial in ipairs(dials) do o[dial] = value end
  for key, v in pairs(more or {}) do o[key] = v end
  return o
end

describe("data.digits", function()
  it("gives pictures, digits, and the points of the pen", function()
    local images, labels, points, lengths = digits { writers = 3, repeats = 2, size = 20,
      steps = 40 }
    assert.same({ 60, 1, 20, 20 }, images:shape())
    assert.equal("uint8", images:dtype())
    assert.same({ 60, 40, 3 }, points:shape())
    assert.same({ 0, 0, 1, 1, 2, 2 }, labels:narrow(1, 1, 6):totable())
    for i, n in ipairs(lengths:totable()) do
      assert.is_true(n >= 2 and n <= 40)
      assert.equal(1, points[i][1][3])                     -- the pen comes down first
      local ink = images[i]:real():sum():item() / 255
      assert.is_true(ink > 15 and ink < 200, "ink of " .. ink)
      if n < 40 then
        assert.equal(0, points[i]:narrow(1, n + 1, 40 - n):abs():amax():item())
      end
    end
  end)

  it("writes the same again, with any number of threads, and alone as among others", function()
    local before = crun.threads()
    crun.threads(1)
    local one, _, points = digits { writers = 9, seed = 3 }
    crun.threads(2)
    local two = digits { writers = 9, seed = 3 }
    crun.threads(before)
    assert.is_true(equal(one, two))
    local fifth, _, own = digits { writers = 1, first = 5, seed = 3 }
    assert.is_true(equal(one:narrow(1, 41, 10), fifth))
    assert.is_true(equal(points:narrow(1, 41, 10), own))
    assert.is_false(equal(one, (digits { writers = 9, seed = 4 })))
  end)

  it("keeps to the model with every dial at 0: a writer's repeats are equal", function()
    local x = digits(all(0, { writers = 1, repeats = 3 }))
    for digit = 0, 9 do assert.is_true(equal(x[3 * digit + 1], x[3 * digit + 3])) end
    for digit = 1, 9 do assert.is_false(equal(x[1], x[3 * digit + 1])) end
  end)

  for _, dial in ipairs(dials) do
    it("has a dial for " .. dial .. " that works alone", function()
      local still, _, still_points = digits(all(0, { writers = 6 }))
      local moved, _, points = digits(all(0, { writers = 6, [dial] = 2 }))
      assert.is_false(equal(still, moved) and equal(still_points, points))
    end)
  end

  it("writes digits that the nearest neighbour of other writers knows", function()
    local x, y = digits { writers = 60 }
    local z, w = digits { writers = 20, first = 61 }
    local scores = crun.eval.knn(z:real():reshape(200, -1), w, {
      references = x:real():reshape(600, -1),
      reference_labels = y, k = 1, distance = "euclidean" })
    assert.is_true(scores.accuracy > 0.5 and scores.accuracy < 1, scores.accuracy)
  end)

  it("refuses what cannot be", function()
    assert.has_error(function() digits { writers = 0 } end)
    assert.has_error(function() digits { steps = 5 } end)
    assert.has_error(function() digits { writers = 1e7, repeats = 1e6 } end)
  end)
end)
