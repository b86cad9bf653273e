--- A picture to draw on: uint8 [3, height, width], with units that do not depend on its resolution.
--
-- All coordinates, widths and text sizes are in points; a picture of 900 x 560 points at scale 2
-- has 1800 x 1120 pixels. x grows to the right, y downwards. Colours are { red, green, blue }, 0 ..
-- 255 each. Everything is antialiased.
--
--     local c = canvas.new(300, 100)
--     c:line({ 10, 50, 290, 50 }, { color = canvas.colors.blue, width = 2 })
--     c:text("hello", 150, 40, { align = "center" })
--     c:save "hello.png"
--
-- @module crun.canvas
local crun = require "crun"
local options = require "crun.options"

local M = {}

--- Okabe and Ito's palette, told apart with any kind of colour vision ("Color universal design",
-- 2008), darkest first, and the greys of axes and text.
M.palette = {
  { 0, 114, 178 }, { 213, 94, 0 }, { 0, 158, 115 }, { 204, 121, 167 }, { 230, 159, 0 },
  { 86, 180, 233 }, { 90, 90, 90 },
}
M.colors = {
  blue = M.palette[1], red = M.palette[2], green = M.palette[3], purple = M.palette[4],
  orange = M.palette[5],
  sky = M.palette[6], ink = { 38, 38, 38 }, soft = { 95, 95, 95 }, axis = { 120, 120, 120 },
  grid = { 228, 228, 228 },
  white = { 255, 255, 255 }, pale = { 246, 246, 246 },
}

local Canvas = { __name = "crun.canvas" }
Canvas.__index = Canvas

--- A white picture of width x height points, `scale` pixels a point (2).
function M.new(width, height, scale)
  width = options.check_value("canvas.new", "width", width, { "number", least = 1, most = 20000 })
  height = options.check_value("canvas.new", "height", height,
    { "number", least = 1, most = 20000 })
  scale = options.check_value("canvas.new", "scale", scale, { "number", 2, least = 0.25, most = 8 })
  local W, H = math.ceil(width * scale), math.ceil(height * scale)
  return setmetatable({
    picture = crun.full({ 3, H, W }, 255):byte(), width = width, height = height, scale = scale,
  }, Canvas)
end

-- a flat list x, y, x, y ... in points -> tensor [N, 2] in pixels; false, false lifts the pen
local function points_of(list, scale)
  local rows, nan = {}, 0 / 0
  for i = 1, #list, 2 do
    local x, y = list[i], list[i + 1]
    rows[#rows + 1] = x and { x * scale, y * scale } or { nan, nan }
  end
  return #rows > 0 and crun.tensor(rows) or nil
end

--- A polyline through x, y, x, y ...; `false, false` lifts the pen. o: color (ink), width (1),
-- alpha (1), dash { on, off }.
function Canvas:line(list, o)
  local points = points_of(list, self.scale)
  if not points then return self end
  local dash = o.dash and { math.max(1, math.floor(o.dash[1] * self.scale + 0.5)),
    math.max(1, math.floor(o.dash[2] * self.scale + 0.5)) }
  crun.data.draw_lines(self.picture, points, {
    color = o.color or M.colors.ink, width = (o.width or 1) * self.scale, alpha = o.alpha,
    dash = dash, closed = o.closed,
  })
  return self
end

--- A filled polygon; o: color, alpha.
function Canvas:polygon(list, o)
  local points = points_of(list, self.scale)
  if points then
    crun.data.draw_polygon(self.picture, points,
      { color = o.color or M.colors.ink, alpha = o.alpha })
  end
  return self
end

--- A filled rectangle.
function Canvas:rect(x0, y0, x1, y1, o)
  return self:polygon({ x0, y0, x1, y0, x1, y1, x0, y1 }, o)
end

--- Text at (x, y). o: size (13), weight, color, alpha, align (left, center, right), valign
-- (baseline, middle, top), angle. A white halo of o.halo points keeps it readable on a busy ground.
function Canvas:text(text, x, y, o)
  o = o or {}
  local size = (o.size or 13) * self.scale
  local options_ = {
    text = text, x = x * self.scale, y = y * self.scale, size = size, weight = o.weight,
    color = o.color or M.colors.ink,
    alpha = o.alpha, align = o.align, valign = o.valign, angle = o.angle,
  }
  if o.halo then
    local halo = {}
    for k, v in pairs(options_) do halo[k] = v end
    halo.color, halo.alpha = M.colors.white, 0.85
    halo.weight = (o.weight or 1) + 2 * o.halo * self.scale / (1.75 * size / 20)
    crun.data.draw_text(self.picture, halo)
  end
  crun.data.draw_text(self.picture, options_)
  return self
end

--- The width of a line of text in points.
function M.text_width(text, size)
  return crun.data.draw_text(nil, { text = text, size = size or 13 }).width
end

--- Text cut with "…" to fit into `width` points.
function M.fit(text, width, size)
  if M.text_width(text, size) <= width then return text end
  local last = utf8.len(text) or #text
  while last > 1 do
    last = last - 1
    local cut = text:sub(1, (utf8.offset(text, last + 1) or last + 1) - 1) .. "…"
    if M.text_width(cut, size) <= width then return cut end
  end
  return "…"
end

--- A mark at each of x, y, x, y ...; o: shape (disc square diamond triangle cross plus ring), size
-- (6), color, alpha, edge. colors: a uint8 tensor [N, 3], one colour a mark.
function Canvas:marks(list, o)
  local points = points_of(list, self.scale)
  if points then
    crun.data.draw_marks(self.picture, points, o.colors, {
      shape = o.shape, size = (o.size or 6) * self.scale, color = o.color or M.colors.ink,
      alpha = o.alpha,
      edge = (o.edge or 0) * self.scale,
    })
  end
  return self
end

--- Anything that is an image as uint8 [h, w] or [3, h, w]: bytes as they are, reals taken as 0 ..
-- 1.
function M.image_of(image, where)
  options.check_value(where or "canvas", "an image", image, "tensor")
  if image:dtype() == "uint8" then return image end
  return (image:detach():clamp { min = 0, max = 1 } * 255 + 0.5):byte()
end

--- An image scaled to width x height points, its top left corner at (x, y). o: alpha, smooth.
function Canvas:image(image, x, y, width, height, o)
  o = o or {}
  local function pixels(v) return math.floor(v * self.scale + 0.5) end
  crun.data.draw_image(self.picture, M.image_of(image), {
    x = pixels(x), y = pixels(y), width = math.max(1, pixels(width)),
    height = math.max(1, pixels(height)),
    alpha = o.alpha, smooth = o.smooth,
  })
  return self
end

--- Writes a PNG; returns the picture.
function Canvas:save(path)
  crun.io.write_png(path, self.picture)
  return self.picture
end

return M
