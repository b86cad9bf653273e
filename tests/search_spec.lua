local crun = require "crun"
local search = require "crun.search"
local space = require "crun.search.space"

local SPACE <const> = { lr = { log_uniform = { 1e-4, 1e-1 } }, margin = { uniform = { 0, 1 } },
  layers = { int = { 1, 4 } }, mine = { choice = { "all", "hard", "semihard" } }, epochs = 20 }

local function text(settings) return crun.io.json_encode(settings) end

describe("a search space", function()
  it("has every value inside its range, fixed ones as they are", function()
    local s = search.random { space = SPACE, seed = 3 }
    local seen = {}
    for _ = 1, 200 do
      local t = s:ask()
      assert.is_true(t.lr >= 1e-4 and t.lr <= 1e-1)
      assert.is_true(t.margin >= 0 and t.margin <= 1)
      assert.equal("integer", math.type(t.layers))
      assert.is_true(t.layers >= 1 and t.layers <= 4)
      assert.equal(20, t.epochs)
      seen[t.mine], seen[t.layers] = true, true
    end
    for _, v in ipairs { "all", "hard", "semihard", 1, 2, 3, 4 } do assert.is_true(seen[v], v) end
  end)
  it("draws log_uniform evenly over the decades", function()
    local s, low = search.random { space = { lr = SPACE.lr } }, 0
    for _ = 1, 600 do
      if s:ask().lr < 1e-3 then low = low + 1 end
    end
    assert.near(200, low, 40)
  end)
  it("takes a value to its place and back", function()
    for _, entry in ipairs(space.check("test", SPACE)) do
      if entry.kind ~= "fixed" then
        for _, u in ipairs { 0.1, 0.5, 0.9 } do
          local value = space.value(entry, u)
          assert.equal(value, space.value(entry, space.place(entry, value)))
        end
      end
    end
  end)
  it("says which options lie on the edge", function()
    local entries = space.check("test", { a = { uniform = { 0, 1 } }, b = { choice = { 1, 2, 3 } },
      c = { choice = { "x", "y", "z" } }, d = { log_uniform = { 1, 100 } }, e = { choice = { 1, 2 } } })
    assert.same({ "a", "b" }, space.edges(entries, { a = 0.99, b = 3, c = "x", d = 10, e = 1 }))
    assert.same({ "d" }, space.edges(entries, { a = 0.5, b = 2, c = "x", d = 1.0, e = 1 }))
  end)
  it("refuses what means nothing", function()
    for _, case in ipairs {
      { { a = { choice = {} } }, "a choice is empty" }, { { a = { uniform = { 2, 1 } } }, "2 is not below 1" },
      { { a = { log_uniform = { 0, 1 } } }, "numbers above 0" }, { { a = { int = { 1.5, 3 } } }, "two whole numbers" },
      { { a = { unifrom = { 1, 2 } } }, "did you mean 'uniform'" }, { { a = { uniform = { 1 } } }, "two numbers" },
    } do
      local ok, message = pcall(search.random, { space = case[1] })
      assert.is_false(ok)
      assert.truthy(message:find(case[2], 1, true), message)
    end
  end)
end)

describe("a search", function()
  it("is a function of its seed", function()
    for _, method in ipairs { "random", "grid", "model" } do
      local a, b, c = search[method] { space = SPACE, seed = 1 }, search[method] { space = SPACE, seed = 1 },
        search[method] { space = SPACE, seed = 2 }
      local same = true
      for i = 1, 12 do
        local x, y, z = a:ask(), b:ask(), c:ask()
        assert.equal(text(x), text(y))
        same = same and text(x) == text(z)
        a:tell(x, i % 5)
        b:tell(y, i % 5)
        c:tell(z, i % 5)
      end
      assert.is_false(same, method)
    end
  end)
  it("goes the same way whatever order the scores of a batch come in", function()
    local a, b = search.model { space = SPACE, start = 4 }, search.model { space = SPACE, start = 4 }
    for round = 1, 6 do
      local x, y = { a:ask(), a:ask() }, { b:ask(), b:ask() }
      assert.equal(text(x), text(y))
      for _, i in ipairs { 1, 2 } do a:tell(x[i], x[i].margin + round) end
      for _, i in ipairs { 2, 1 } do b:tell(y[i], y[i].margin + round) end
    end
  end)
  it("visits every point of a grid once, then begins again", function()
    local s = search.grid { space = { a = { choice = { 1, 2, 3 } }, b = { int = { 1, 2 } } } }
    assert.equal(6, s:size())
    local seen, n = {}, 0
    for _ = 1, 6 do
      local key = text(s:ask())
      assert.is_nil(seen[key])
      seen[key], n = true, n + 1
    end
    assert.is_true(seen[text(s:ask())])
    local ends = search.grid { space = { a = { uniform = { 0, 1 } } }, points = 3 }
    local values = { ends:ask().a, ends:ask().a, ends:ask().a }
    table.sort(values)
    assert.same({ 0.0, 0.5, 1.0 }, values)
  end)
  it("keeps the best of what it was told", function()
    local s = search.random { space = SPACE, goal = "min" }
    local first, second, third = s:ask(), s:ask(), s:ask()
    s:tell(second, 0.5):tell(first, 0.7):tell(third, nil)
    local best, score = s:best()
    assert.equal(second, best)
    assert.equal(0.5, score)
    assert.has_error(function() s:tell(first, 1) end)
  end)
  it("finds a peak better by its model than at random", function()
    local function score(t) return -(math.log(t.lr / 3e-3, 10)) ^ 2 - (t.margin - 0.7) ^ 2 - (t.mine == "hard" and 0 or 0.5) end
    local total = { random = 0, model = 0 }
    for method in pairs(total) do
      for seed = 1, 20 do
        local s = search[method] { space = SPACE, seed = seed, start = 8 }
        for _ = 1, 30 do
          local t = s:ask()
          s:tell(t, score(t))
        end
        total[method] = total[method] + select(2, s:best()) / 20
      end
    end
    assert.is_true(total.model > total.random / 2, ("model %g, random %g"):format(total.model, total.random))
  end)
end)
