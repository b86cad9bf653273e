local crun = require "crun"
local plot = require "crun.plot"
local canvas = require "crun.canvas"

-- pixels that are not white
local function inked(picture)
  return (picture:real() - 255):abs():sum():item()
end

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return (text:gsub("^[^:]*:%d+: ", ""))
end

describe("drawing", function()
  it("covers pixels by their area", function()
    local c = crun.full({ 1, 4, 4 }, 255):byte()
    crun.data.draw_polygon(c, crun.tensor { { 1, 1 }, { 2.5, 1 }, { 2.5, 3 }, { 1, 3 } })
    assert.same({ 255, 0, 127, 255 }, c[1][2]:totable())
    assert.same({ 255, 255, 255, 255 }, c[1][1]:totable())
    assert.same({ 255, 255, 255, 255 }, c[1][4]:totable())
  end)
  it("counts overlapping strokes of one call once", function()
    local c = crun.full({ 1, 5, 9 }, 255):byte()
    local there_and_back = crun.tensor { { 0, 2.5 }, { 9, 2.5 }, { 0, 2.5 } }
    crun.data.draw_lines(c, there_and_back, { width = 1, alpha = 0.5 })
    assert.near(127, c[1][3][5], 1)
    assert.equal(255, c[1][1][5])
  end)
  it("may leave the picture on all sides", function()
    local c = crun.full({ 3, 10, 10 }, 255):byte()
    crun.data.draw_lines(c, crun.tensor { { -50, -50 }, { 60, 60 } }, { width = 3 })
    crun.data.draw_polygon(c, crun.tensor { { -5, -5 }, { 20, -5 }, { 20, 5 }, { -5, 5 } },
      { color = { 255, 0, 0 } })
    assert.same({ 255, 0, 0 }, { c[1][3][2], c[2][3][2], c[3][3][2] })
    crun.data.draw_text(c, { text = "outside and inside", x = -30, y = 8, size = 12 })
    crun.data.draw_image(c, crun.full({ 8, 8 }, 0):byte(), { x = 6, y = -4 })
    crun.data.draw_marks(c, crun.tensor { { 0, 0 }, { 10, 10 }, { 0 / 0, 3 } }, { size = 9 })
    assert.equal(0, c[1][1][8])
  end)
  it("lifts the pen at a nan, dashes, closes", function()
    local c = crun.full({ 1, 3, 20 }, 255):byte()
    crun.data.draw_lines(c, crun.tensor { { 0, 1.5 }, { 4, 1.5 }, { 0 / 0, 0 }, { 15, 1.5 },
      { 20, 1.5 } })
    assert.equal(255, c[1][2][10])
    assert.equal(0, c[1][2][3])
    assert.equal(0, c[1][2][18])
    local d = crun.full({ 1, 3, 20 }, 255):byte()
    crun.data.draw_lines(d, crun.tensor { { 0, 1.5 }, { 20, 1.5 } }, { width = 1, dash = { 5, 5 } })
    assert.same({ 0, 255, 0, 255 }, { d[1][2][3], d[1][2][8], d[1][2][13], d[1][2][18] })
  end)
  it("measures text, and draws every printable letter", function()
    local function width(text) return canvas.text_width(text, 20) end
    assert.near(width("ab") + width("c"), width("abc"), 1e-3)
    assert.is_true(width("W") > width("i"))
    for code = 33, 126 do
      local c = crun.full({ 1, 40, 40 }, 255):byte()
      crun.data.draw_text(c, { text = string.char(code), x = 10, y = 28, size = 24 })
      assert.is_true(inked(c) > 500, string.char(code))
    end
    assert.near(width("…"), width("\u{2026}"), 1e-6)
    assert.equal("a long…", canvas.fit("a long label", width("a long…") + 0.1, 20))
    assert.equal("short", canvas.fit("short", 500, 20))
  end)
  it("scales images without skipping pixels", function()
    local board = {}
    for i = 1, 16 do
      board[i] = {}
      for j = 1, 16 do board[i][j] = (i + j) % 2 * 254 end
    end
    local c = crun.full({ 1, 4, 4 }, 255):byte()
    crun.data.draw_image(c, crun.byte(board), { width = 4, height = 4 })
    for _, row in ipairs(c[1]:totable()) do
      for _, v in ipairs(row) do assert.near(127, v, 4) end
    end
    local big = crun.full({ 3, 4, 4 }, 255):byte()
    crun.data.draw_image(big, crun.byte { { 10, 200 } }, { width = 4, height = 2, smooth = false })
    assert.same({ 10, 10, 200, 200 }, big[2][1]:totable())
  end)
  it("says what it wants", function()
    local c = crun.full({ 3, 4, 4 }, 255):byte()
    assert.equal("data.draw_lines: color takes 3 numbers, got 2",
      message(crun.data.draw_lines, c, crun.zeros(2, 2), { color = { 1, 2 } }))
    assert.equal("data.draw_image: image must be [h, w], [1, h, w] or [3, h, w], got [2, 4, 4]",
      message(crun.data.draw_image, c, crun.zeros(2, 4, 4):byte()))
  end)
end)

describe("plots", function()
  local path = os.tmpname()
  after_each(function() os.remove(path) end)

  it("have the size asked for and are written", function()
    local picture = plot.lines { path = path, width = 300, height = 200, scale = 1, title = "t",
      xlabel = "x", ylabel = "y",
      series = { { name = "a", y = { 1, 2, 0 / 0, 4 }, low = { 0, 1, 2, 3 },
        high = { 2, 3, 4, 5 } },
        { name = "b", x = crun.tensor { 1, 2.5 }, y = crun.tensor { 3, 3 } } } }
    assert.same({ 3, 200, 300 }, picture:shape())
    local back = crun.io.read_image(path)
    assert.same(picture:totable(), back:totable())
  end)
  it("survive what data can be", function()
    for _, y in ipairs { { 1 }, { 2, 2, 2 }, { 0 / 0, 0 / 0 }, { 1e300, -1e300 }, { 1e-12, 2e-12 },
      { 1 / 0, 3 } } do
      assert.is_true(inked(plot.lines { series = { { y = y } }, scale = 1 }) > 0)
      assert.is_true(inked(plot.lines { series = { { y = y } }, scale = 1, ylog = true }) > 0)
    end
    plot.histogram { series = { { values = { 1 } }, { values = { 5, 5, 5 } } }, scale = 1 }
    plot.roc { series = { { fpr = { 0, 0.5, 1 }, tpr = { 0, 1, 1 } } }, log = true, scale = 1 }
    plot.map { points = crun.zeros(3, 2), labels = crun.int { -1, 7, 7 }, scale = 1 }
  end)
  it("show images, verdicts and neighbours", function()
    local images, labels = crun.data.faces { identities = 3, per_identity = 3, size = 16 }
    assert.is_true(inked(plot.grid { images = images, cols = 3, captions = { "a" },
      verdicts = { "right", "wrong" }, scale = 1 }) > 0)
    local picture = plot.retrieval { images = images, labels = labels,
      embeddings = images:real():reshape(9, 256), queries = { 9 }, k = 3,
      scale = 1 }
    local _, _, width = table.unpack(picture:shape())
    assert.equal(2 * 18 + 4 * (68 + 9) - 9 + 22, width)
    plot.map { points = crun.randn(crun.rng(1), 9, 2), labels = labels, images = images,
      names = { [1] = "one" }, scale = 1 }
  end)
  it("say what is wrong with their data", function()
    assert.equal("plot.lines: series 1 has 2 x and 3 y",
      message(plot.lines, { series = { { x = { 1, 2 }, y = { 1, 2, 3 } } } }))
    assert.equal("plot.lines: series is empty", message(plot.lines, { series = {} }))
    assert.equal("plot.lines: series 1: unknown option 'nmae'; did you mean 'name'?",
      message(plot.lines, { series = { { y = { 1 }, nmae = "a" } } }))
    assert.equal("plot.lines: xlim must be { low, high }",
      message(plot.lines, { series = { { y = { 1 } } }, xlim = { 2, 1 } }))
    assert.equal("plot.map: points must be [N, 2], got [3, 3]",
      message(plot.map, { points = crun.zeros(3, 3) }))
  end)
end)
