--- Pictures of results, drawn by crun itself and written as PNG.
--
--     plot.lines { path = "loss.png", title = "Training", xlabel = "epoch", ylabel = "loss",
--       series = { { name = "triplet", y = { 0.9, 0.5, 0.3 } },
--         { name = "contrastive", y = { 0.8, 0.6, 0.5 } } } }
--
-- Every function takes one table and returns the picture, uint8 [3, H, W]; with `path` it also
-- writes the file. Common to all: path, title, width and height in points, scale (2 pixels a
-- point). Where numbers are wanted, a Lua array and a tensor of one dimension do alike; where
-- images are wanted, a tensor [N, h, w] or [N, c, h, w] or an array of images, uint8 or reals in 0
-- .. 1. Colours are Okabe and Ito's; series also differ in dashes, verdicts in a mark, classes in
-- shape.
--
-- @module crun.plot
local crun = require "crun"
local canvas = require "crun.canvas"
local options = require "crun.options"

local M = {}

local colors, palette = canvas.colors, canvas.palette
local DASHES = { false, { 7, 4 }, { 2, 3 }, { 10, 3 } }
local SHAPES = { "disc", "square", "triangle", "diamond", "cross", "plus", "ring" }

local function style(i)
  return palette[(i - 1) % #palette + 1], DASHES[(i - 1) // #palette % #DASHES + 1] or nil
end

-- marks repeat out of step with the colours, so 49 classes differ
local function shape_of(k) return SHAPES[(k - 1 + (k - 1) // #palette) % #SHAPES + 1] end

local common = {
  path = "string?", title = "string?", width = "number?", height = "number?",
  scale = { "number", 2 },
}

local function check(where, opts, own)
  for name, line in pairs(common) do own[name] = own[name] or line end
  return options.check(where, opts, own)
end

local function finish(c, o)
  if o.path then return c:save(o.path) end
  return c.picture
end

-- a Lua array of numbers from an array or a tensor [n]
local function numbers(where, name, value)
  if options.kind(value) == "tensor" then
    if value:ndim() ~= 1 then
      crun.fail(where, ("%s must be one row of numbers, got [%s]"):format(name,
        table.concat(value:shape(), ", ")))
    end
    return value:detach():totable()
  end
  return options.check_value(where, name, value, "numbers")
end

local function finite(v) return v == v and v ~= math.huge and v ~= -math.huge end

-- ---- axes ---------------------------------------------------------------------------------------

-- Ticks at multiples of 1, 2 or 5 times a power of ten, about `wanted` of them, and their labels.
local function linear_ticks(low, high, wanted)
  local raw = (high - low) / wanted
  local power = 10 ^ math.floor(math.log(raw, 10))
  local step = raw / power
  step = (step < 1.5 and 1 or step < 3.5 and 2 or step < 7.5 and 5 or 10) * power
  local decimals = math.max(0, -math.floor(math.log(step, 10) + 1e-9))
  local ticks = {}
  for i = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do
    local v = i * step
    local text
    if math.abs(v) >= 1e6 or decimals > 5 then
      text = v == 0 and "0" or ("%g"):format(v)
    else
      text = ("%." .. decimals .. "f"):format(v):gsub("^-(0%.?0*)$", "%1")
    end
    ticks[#ticks + 1] = { v, (text:gsub("^-", "−")) }
  end
  return ticks
end

-- Ticks at powers of ten, and between them where there are few.
local function log_ticks(low, high)
  local ticks = {}
  local first, last = math.floor(math.log(low, 10) + 1e-9), math.ceil(math.log(high, 10) - 1e-9)
  local every = math.max(1, (last - first) // 8)
  for e = first, last do
    for _, m in ipairs(last - first <= 2 and { 1, 2, 5 } or { 1 }) do
      local v = m * 10.0 ^ e
      if v >= low * (1 - 1e-9) and v <= high * (1 + 1e-9) and (e - first) % every == 0 then
        local text = (e < -4 or e > 5) and ("%ge%d"):format(m, e) or ("%.14g"):format(v)
        ticks[#ticks + 1] = { v, (text:gsub("e%-", "e−")) }
      end
    end
  end
  return ticks
end

-- The range of some numbers, with a little air; log: only positive ones count.
local function range_of(values, log, air)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do
    if finite(v) and (not log or v > 0) then low, high = math.min(low, v), math.max(high, v) end
  end
  if low > high then return log and 0.1 or 0, 1 end
  if log then
    if low == high then return low / 2, high * 2 end
    local factor = (high / low) ^ air
    return low / factor, high * factor
  end
  if low == high then
    local half = low == 0 and 0.5 or math.abs(low) * 0.1
    return low - half, high + half
  end
  return low - (high - low) * air, high + (high - low) * air
end

-- An axis: value -> place. o: { low, high, log, from, to }
local function scale_of(low, high, log, from, to)
  local a, b = low, high
  if log then a, b = math.log(low), math.log(high) end
  return function(v)
    if log then
      if v <= 0 then return nil end
      v = math.log(v)
    end
    return finite(v) and from + (v - a) / (b - a) * (to - from) or nil
  end
end

local TITLE, LABEL, TICK = 17, 14, 12

-- Frame, grid, ticks and titles. o: the user's table, and aside: points kept free on the right; x,
-- y: { low, high, log, ticks = may be given }. Returns the scales and the box { left, top, right,
-- bottom }.
local function draw_axes(c, o, x, y)
  local top = o.title and 46 or 20
  local bottom = c.height - (o.xlabel and 56 or 34)
  local y_ticks = y.ticks or (y.log and log_ticks(y.low, y.high) or
    linear_ticks(y.low, y.high, math.max(3, (bottom - top) / 64)))
  local widest = 0
  for _, tick in ipairs(y_ticks) do widest = math.max(widest, canvas.text_width(tick[2], TICK)) end
  local left = 16 + widest + 8 + (o.ylabel and 26 or 0)
  local right = c.width - 22 - (o.aside or 0)
  local x_ticks = x.ticks or (x.log and log_ticks(x.low, x.high) or
    linear_ticks(x.low, x.high, math.max(3, (right - left) / 90)))
  local X = scale_of(x.low, x.high, x.log, left, right)
  local Y = scale_of(y.low, y.high, y.log, bottom, top)

  for _, tick in ipairs(y_ticks) do
    local at = Y(tick[1])
    c:line({ left, at, right, at }, { color = colors.grid, width = 1 })
    c:text(tick[2], left - 9, at, { size = TICK, color = colors.soft, align = "right",
      valign = "middle" })
  end
  for _, tick in ipairs(x_ticks) do
    local at = X(tick[1])
    c:line({ at, top, at, bottom }, { color = colors.grid, width = 1 })
    c:line({ at, bottom, at, bottom + 4 }, { color = colors.axis, width = 1 })
    c:text(tick[2], at, bottom + 9, { size = TICK, color = colors.soft, align = "center",
      valign = "top" })
  end
  c:line({ left, top, left, bottom, right, bottom }, { color = colors.axis, width = 1 })
  if o.title then
    c:text(canvas.fit(o.title, c.width - 2 * 20, TITLE * 1.05), left, 22,
      { size = TITLE, weight = 1.45, valign = "middle" })
  end
  if o.xlabel then
    c:text(o.xlabel, (left + right) / 2, c.height - 14, { size = LABEL, align = "center" })
  end
  if o.ylabel then
    c:text(o.ylabel, 22, (top + bottom) / 2, { size = LABEL, align = "center", valign = "middle",
      angle = 90 })
  end
  return X, Y, { left = left, top = top, right = right, bottom = bottom }
end

-- The size of a legend.
local ROW = 20
local function legend_size(entries)
  local widest = 0
  for _, e in ipairs(entries) do widest = math.max(widest, canvas.text_width(e.name, 13)) end
  return widest + 54, ROW * #entries + 12
end

-- The corner of the box where a legend hides the least of `busy`, the places x, y, x, y ... drawn
-- on.
local function legend_corner(spots, width, height, busy)
  local best, least = nil, math.huge
  for _, name in ipairs { "top right", "bottom right", "top left", "bottom left" } do
    local x, y, hits = spots[name][1] - 6, spots[name][2] - 6, 0
    for i = 1, #busy, 2 do
      if busy[i] and busy[i] > x and busy[i] < x + width + 12 and busy[i + 1] > y and
        busy[i + 1] < y + height + 12 then
        hits = hits + 1
      end
    end
    if hits < least then best, least = name, hits end
  end
  return best
end

-- entries: { name, kind = "line" | "fill" | "mark", color, dash, shape }; place: a corner, "aside"
-- (right of the box), or nil for the corner that hides the least.
local function draw_legend(c, box, entries, busy, place)
  if #entries == 0 then return end
  local width, height = legend_size(entries)
  local left, right = box.left + 12, box.right - width - 10
  local top, bottom = box.top + 8, box.bottom - height - 10
  local spots = {
    ["top right"] = { right, top }, ["bottom right"] = { right, bottom },
    ["top left"] = { left, top }, ["bottom left"] = { left, bottom },
    aside = { box.right + 12, box.top },
  }
  local x, y = table.unpack(spots[place or legend_corner(spots, width, height, busy)])
  c:rect(x, y, x + width, y + height, { color = colors.white, alpha = 0.88 })
  c:line({ x, y, x + width, y, x + width, y + height, x, y + height },
    { color = colors.grid, width = 1, closed = true })
  for i, e in ipairs(entries) do
    local middle = y + 6 + ROW * (i - 0.5)
    if e.kind == "fill" then
      local edge = { x + 10, middle - 6, x + 34, middle - 6, x + 34, middle + 6, x + 10,
        middle + 6 }
      c:polygon(edge, { color = e.color, alpha = 0.45 })
      c:line(edge, { color = e.color, width = 1.5, closed = true })
    elseif e.kind == "mark" then
      c:marks({ x + 22, middle }, { color = e.color, shape = e.shape, size = 9 })
    else
      c:line({ x + 10, middle, x + 34, middle }, { color = e.color, width = 2.2, dash = e.dash })
      if e.shape then
        c:marks({ x + 22, middle }, { color = e.color, shape = e.shape, size = 8, edge = 1 })
      end
    end
    c:text(e.name, x + 42, middle, { size = 13, valign = "middle" })
  end
end

-- Walks a polyline and notes a place every few points, so a legend sees long straight pieces too.
local function note_busy(busy, path)
  local px, py
  for i = 1, #path, 2 do
    local x, y = path[i], path[i + 1]
    if x and px then
      local pieces = math.max(1, math.floor(math.max(math.abs(x - px), math.abs(y - py)) / 6))
      for k = 1, pieces do
        busy[#busy + 1], busy[#busy + 2] = px + (x - px) * k / pieces, py + (y - py) * k / pieces
      end
    elseif x then
      busy[#busy + 1], busy[#busy + 2] = x, y
    end
    px, py = x, y
  end
end

-- The part of the segment (x0, y0)-(x1, y1) inside the box (Liang, Barsky, 1984), or nil.
local function clip(box, x0, y0, x1, y1)
  local dx, dy, t0, t1 = x1 - x0, y1 - y0, 0, 1
  for _, edge in ipairs { { -dx, x0 - box.left }, { dx, box.right - x0 }, { -dy, y0 - box.top },
    { dy, box.bottom - y0 } } do
    local p, q = edge[1], edge[2]
    if p == 0 then
      if q < 0 then return nil end
    elseif p < 0 then
      t0 = math.max(t0, q / p)
    else
      t1 = math.min(t1, q / p)
    end
  end
  if t0 > t1 then return nil end
  return x0 + t0 * dx, y0 + t0 * dy, x0 + t1 * dx, y0 + t1 * dy
end

-- Places of a series in the box; the pen lifts over values that are not finite and over what lies
-- outside.
local function path_of(xs, ys, X, Y, box)
  local path, px, py, end_x, end_y = {}, nil, nil, nil, nil
  for i = 1, math.min(#xs, #ys) do
    local x, y = X(xs[i]), Y(ys[i])
    if x and y and px then
      local ax, ay, bx, by = clip(box, px, py, x, y)
      if ax then
        if end_x ~= ax or end_y ~= ay then
          if #path > 0 then path[#path + 1], path[#path + 2] = false, false end
          path[#path + 1], path[#path + 2] = ax, ay
        end
        path[#path + 1], path[#path + 2] = bx, by
        end_x, end_y = bx, by
      end
    end
    px, py = x, y
    if not (x and y) then px, py = nil, nil end
  end
  return path
end

-- ---- curves -------------------------------------------------------------------------------------

local function check_series(where, series, fields)
  options.check_value(where, "series", series, "table")
  if #series == 0 then crun.fail(where, "series is empty") end
  local out = {}
  for i, s in ipairs(series) do
    out[i] = options.check(("%s: series %d"):format(where, i), s, fields)
  end
  return out
end

local function limits(where, name, given, low, high)
  if not given then return low, high end
  options.check_value(where, name, given, "numbers")
  if #given ~= 2 or given[1] >= given[2] then
    crun.fail(where, name .. " must be { low, high }")
  end
  return given[1], given[2]
end

--- Curves. series: a list of { name =, y =, x = (1 .. n), low =, high = (a band around y), color =,
-- dash = }. xlabel, ylabel; xlim, ylim { low, high }; xlog, ylog (false); marks (dots on the
-- points; by default where a series has at most 25); legend ("top left", ...: where it is, by
-- default the corner that hides the least; none for a single series).
function M.lines(opts)
  local where = "plot.lines"
  local o = check(where, opts, {
    series = "table", xlabel = "string?", ylabel = "string?", xlim = "numbers?", ylim = "numbers?",
    xlog = { "boolean", false }, ylog = { "boolean", false }, marks = "boolean?",
    legend = { "string?", choices = { "top left", "top right", "bottom left", "bottom right" } },
  })
  local series = check_series(where, o.series, {
    name = "string?", x = "any?", y = "any", low = "any?", high = "any?", color = "numbers?",
    dash = "numbers?",
  })
  local all_x, all_y = {}, {}
  for i, s in ipairs(series) do
    s.y = numbers(where, "y", s.y)
    if s.x == nil then
      s.x = {}
      for k = 1, #s.y do s.x[k] = k end
    end
    s.x = numbers(where, "x", s.x)
    if #s.x ~= #s.y then
      crun.fail(where, ("series %d has %d x and %d y"):format(i, #s.x, #s.y))
    end
    if (s.low == nil) ~= (s.high == nil) then crun.fail(where, "a band needs both low and high") end
    for _, name in ipairs { "x", "y", "low", "high" } do
      if s[name] then
        s[name] = numbers(where, name, s[name])
        local all = name == "x" and all_x or all_y
        table.move(s[name], 1, #s[name], #all + 1, all)
      end
    end
    local color, dash = style(i)
    s.color, s.dash = s.color or color, s.dash or dash
  end
  local x, y = { log = o.xlog }, { log = o.ylog }
  x.low, x.high = limits(where, "xlim", o.xlim, range_of(all_x, o.xlog, 0.02))
  y.low, y.high = limits(where, "ylim", o.ylim, range_of(all_y, o.ylog, 0.05))
  local c = canvas.new(o.width or 820, o.height or 500, o.scale)
  local X, Y, box = draw_axes(c, o, x, y)

  local entries, busy = {}, {}
  for _, s in ipairs(series) do
    if s.low then
      local band, last = {}, #s.x
      for k = 1, last do
        local px, py = X(s.x[k]), Y(s.high[k])
        if px and py then
          band[#band + 1], band[#band + 2] = px, math.min(math.max(py, box.top), box.bottom)
        end
      end
      for k = last, 1, -1 do
        local px, py = X(s.x[k]), Y(s.low[k])
        if px and py then
          band[#band + 1], band[#band + 2] = px, math.min(math.max(py, box.top), box.bottom)
        end
      end
      c:polygon(band, { color = s.color, alpha = 0.18 })
    end
  end
  for i, s in ipairs(series) do
    local path = path_of(s.x, s.y, X, Y, box)
    c:line(path, { color = s.color, width = 2.2, dash = s.dash })
    note_busy(busy, path)
    local shape
    if o.marks or (o.marks == nil and #s.y <= 25) then
      shape = SHAPES[(i - 1) % #SHAPES + 1]
      local dots = {}
      for k = 1, #s.y do
        local px, py = X(s.x[k]), Y(s.y[k])
        if px and py and px >= box.left - 1 and px <= box.right + 1 and py >= box.top - 1 and
          py <= box.bottom + 1 then
          dots[#dots + 1], dots[#dots + 2] = px, py
        end
      end
      c:marks(dots, { color = s.color, shape = shape, size = 7, edge = 1 })
    end
    if s.name then
      entries[#entries + 1] = { name = s.name, color = s.color, dash = s.dash, shape = shape }
    end
  end
  if #series > 1 or o.legend then draw_legend(c, box, entries, busy, o.legend) end
  return finish(c, o)
end

--- Distributions over each other. series: a list of { name =, values =, color = }; bins (40);
-- xlabel, ylabel; xlim; lines: a list of { at =, name = } drawn as upright dashes (a threshold).
-- Areas are normalised to 1 unless counts is true.
function M.histogram(opts)
  local where = "plot.histogram"
  local o = check(where, opts, {
    series = "table", bins = { "count", 40 }, xlabel = "string?", ylabel = "string?",
    xlim = "numbers?",
    counts = { "boolean", false }, lines = { "table", {} },
    legend = { "string?", choices = { "top left", "top right", "bottom left", "bottom right" } },
  })
  local series = check_series(where, o.series,
    { name = "string?", values = "any", color = "numbers?" })
  local all = {}
  for i, s in ipairs(series) do
    s.values = numbers(where, "values", s.values)
    if #s.values == 0 then crun.fail(where, ("series %d has no values"):format(i)) end
    table.move(s.values, 1, #s.values, #all + 1, all)
    s.color = s.color or (style(i))
  end
  local low, high = limits(where, "xlim", o.xlim, range_of(all, false, 0))
  local width = (high - low) / o.bins
  local most = 0
  for _, s in ipairs(series) do
    s.height = {}
    for b = 1, o.bins do s.height[b] = 0 end
    local unit = o.counts and 1 or 1 / (#s.values * width)
    for _, v in ipairs(s.values) do
      if v >= low and v <= high then
        local b = math.min(o.bins, math.floor((v - low) / width) + 1)
        s.height[b] = s.height[b] + unit
      end
    end
    for b = 1, o.bins do most = math.max(most, s.height[b]) end
  end
  o.ylabel = o.ylabel or (o.counts and "count" or "density")
  local c = canvas.new(o.width or 820, o.height or 440, o.scale)
  local air = (high - low) * 0.02
  local X, Y, box = draw_axes(c, o, { low = low - air, high = high + air },
    { low = 0, high = most * 1.08 })
  local entries, busy = {}, {}
  for _, s in ipairs(series) do
    local steps = { X(low), Y(0) }
    for b = 1, o.bins do
      local at = Y(s.height[b])
      for _, v in ipairs { X(low + (b - 1) * width), at, X(low + b * width), at } do
        steps[#steps + 1] = v
      end
    end
    steps[#steps + 1], steps[#steps + 2] = X(high), Y(0)
    c:polygon(steps, { color = s.color, alpha = 0.38 })
    s.steps = steps
  end
  for _, s in ipairs(series) do
    c:line(s.steps, { color = s.color, width = 1.8 })
    note_busy(busy, s.steps)
    if s.name then entries[#entries + 1] = { name = s.name, kind = "fill", color = s.color } end
  end
  for i, line in ipairs(o.lines) do
    local l = options.check(("%s: line %d"):format(where, i), line,
      { at = "number", name = "string?" })
    local at = X(l.at)
    c:line({ at, box.top, at, box.bottom }, { color = colors.ink, width = 1.5, dash = { 5, 4 } })
    if l.name then
      local over = at + 8 + canvas.text_width(l.name, 12) > box.right
      c:text(l.name, over and at - 6 or at + 6, box.top + 14,
        { size = 12, align = over and "right" or "left", halo = 1.5 })
    end
  end
  draw_legend(c, box, entries, busy, o.legend)
  return finish(c, o)
end

--- Receiver operating characteristic. series: a list of { name =, fpr =, tpr =, color = }, points
-- in order of falling threshold. log (false): the false accept rate on a logarithmic axis from
-- `least` (1e-4), where verification is judged. Dashes: chance.
function M.roc(opts)
  local where = "plot.roc"
  local o = check(where, opts, {
    series = "table", log = { "boolean", false }, least = { "number", 1e-4, above = 0, most = 0.5 },
    xlabel = { "string", "false accept rate" }, ylabel = { "string", "true accept rate" },
    legend = { "string?", choices = { "top left", "top right", "bottom left", "bottom right" } },
  })
  local series = check_series(where, o.series,
    { name = "string?", fpr = "any", tpr = "any", color = "numbers?", dash = "numbers?" })
  local c = canvas.new(o.width or 560, o.height or 540, o.scale)
  local x = o.log and { low = o.least, high = 1, log = true } or { low = 0, high = 1 }
  local X, Y, box = draw_axes(c, o, x, { low = 0, high = 1.02 })
  local chance, busy, entries = {}, {}, {}
  for i = 0, 60 do
    local v = o.log and o.least ^ (1 - i / 60) or i / 60
    chance[#chance + 1], chance[#chance + 2] = X(v), Y(v)
  end
  c:line(chance, { color = colors.axis, width = 1.2, dash = { 4, 4 } })
  note_busy(busy, chance)
  for i, s in ipairs(series) do
    local color, dash = style(i)
    s.color, s.dash = s.color or color, s.dash or dash
    local fpr, tpr = numbers(where, "fpr", s.fpr), numbers(where, "tpr", s.tpr)
    if #fpr ~= #tpr or #fpr == 0 then
      crun.fail(where, ("series %d has %d fpr and %d tpr"):format(i, #fpr, #tpr))
    end
    local xs, ys = {}, {}
    for k = 1, #fpr do
      -- a curve may have a million points: those nearer than half a point to the last kept are not
      -- seen
      local v, n = math.max(fpr[k], x.low), #xs
      if n == 0 or k == #fpr or
        math.abs(X(v) - X(xs[n])) + math.abs(Y(tpr[k]) - Y(ys[n])) > 0.5 then
        xs[n + 1], ys[n + 1] = v, tpr[k]
      end
    end
    local path = path_of(xs, ys, X, Y, box)
    c:line(path, { color = s.color, width = 2.2, dash = s.dash })
    note_busy(busy, path)
    if s.name then entries[#entries + 1] = { name = s.name, color = s.color, dash = s.dash } end
  end
  draw_legend(c, box, entries, busy, o.legend)
  return finish(c, o)
end

-- ---- images -------------------------------------------------------------------------------------

-- a list of images [h, w] or [c, h, w]
local function images_of(where, images)
  if options.kind(images) == "tensor" then
    if images:ndim() ~= 3 and images:ndim() ~= 4 then
      local shape = table.concat(images:shape(), ", ")
      crun.fail(where, ("images must be [N, h, w] or [N, c, h, w], got [%s]"):format(shape))
    end
    return function(i) return canvas.image_of(images[i], where) end, images:size(1)
  end
  options.check_value(where, "images", images, "table")
  return function(i) return canvas.image_of(images[i], where) end, #images
end

-- One image with its frame and verdict. verdict: nil, "right" (green, full frame, check mark) or
-- "wrong" (red, dashed frame, cross): told apart without colour, too.
local function draw_cell(c, image, x, y, side, frame, verdict)
  local h, w = image:size(-2), image:size(-1)
  local k = side / math.max(h, w)
  local width, height = w * k, h * k
  local left, top = x + (side - width) / 2, y + (side - height) / 2
  c:image(image, left, top, width, height, { smooth = true })
  local color = frame or (verdict == "right" and colors.green) or
    (verdict == "wrong" and colors.red)
  if not color then return end
  local edge = { left - 1.5, top - 1.5, left + width + 1.5, top - 1.5, left + width + 1.5,
    top + height + 1.5,
    left - 1.5, top + height + 1.5 }
  c:line(edge, { color = color, width = 3, closed = true, dash = verdict == "wrong" and { 6, 5 } or
    nil })
  if verdict then
    local r = math.max(7, math.min(11, side / 9))
    local cx, cy = left + width - r + 2, top + r - 2
    c:marks({ cx, cy }, { color = color, size = 2 * r, edge = 1.2 })
    c:text(verdict == "right" and "✓" or "✗", cx, cy,
      { size = r * 1.55, weight = 1.6, align = "center", valign = "middle", color = colors.white })
  end
end

--- A grid of images. images; cols (8); size of an image in points (72); captions, frames (colours)
-- and verdicts ("right" or "wrong"): lists by image, with false where there is none.
function M.grid(opts)
  local where = "plot.grid"
  local o = check(where, opts, {
    images = "any", cols = { "count", 8 }, size = { "number", 72, least = 8 },
    captions = { "table", {} },
    frames = { "table", {} }, verdicts = { "table", {} },
  })
  local image, n = images_of(where, o.images)
  if n == 0 then crun.fail(where, "there are no images") end
  local cols = math.min(o.cols, n)
  local rows = (n + cols - 1) // cols
  local caption = next(o.captions) ~= nil and 18 or 0
  local gap, margin, top = 10, 16, o.title and 46 or 16
  local c = canvas.new(2 * margin + cols * (o.size + gap) - gap,
    top + rows * (o.size + caption + gap) - gap + margin, o.scale)
  if o.title then
    c:text(canvas.fit(o.title, c.width - 2 * margin, TITLE * 1.05), margin, 24,
      { size = TITLE, weight = 1.45, valign = "middle" })
  end
  for i = 1, n do
    local x, y = margin + (i - 1) % cols * (o.size + gap),
      top + (i - 1) // cols * (o.size + caption + gap)
    draw_cell(c, image(i), x, y, o.size, o.frames[i] or nil, o.verdicts[i] or nil)
    if o.captions[i] then
      c:text(canvas.fit(tostring(o.captions[i]), o.size + gap - 4, 11), x + o.size / 2,
        y + o.size + 7,
        { size = 11, align = "center", valign = "top", color = colors.soft })
    end
  end
  return finish(c, o)
end

--- Queries and what lies nearest to them, one row each: the query, then its k nearest others, right
-- or wrong by label. images; labels int64 [N]; embeddings [N, D]; queries: row numbers (the first 6
-- rows); k (8); names: class names by label; size (68). Nearness is the cosine; the number under an
-- image is its value. A query never finds itself.
function M.retrieval(opts)
  local where = "plot.retrieval"
  local o = check(where, opts, {
    images = "any", labels = "tensor", embeddings = "tensor", queries = "any?", k = { "count", 8 },
    names = { "table", {} },
    size = { "number", 68, least = 16 },
  })
  local image, n = images_of(where, o.images)
  local labels = o.labels:totable()
  if #labels ~= n or o.embeddings:ndim() ~= 2 or o.embeddings:size(1) ~= n then
    local text = "images, labels and embeddings must be of the same rows, got %d, %d and [%s]"
    crun.fail(where, text:format(n, #labels, table.concat(o.embeddings:shape(), ", ")))
  end
  local queries = {}
  if o.queries == nil then
    for i = 1, math.min(6, n) do queries[i] = i end
  else
    queries = numbers(where, "queries", o.queries)
  end
  local k = math.min(o.k, n - 1)
  local _ <close> = crun.no_grad()
  local unit = crun.normalize(o.embeddings)

  local gap, margin, top, caption, apart, between = 9, 18, (o.title and 46 or 14) + 22, 18, 22, 16
  local c = canvas.new(2 * margin + (k + 1) * (o.size + gap) - gap + apart,
    top + #queries * (o.size + caption + between) - between + margin, o.scale)
  if o.title then
    c:text(canvas.fit(o.title, c.width - 2 * margin, TITLE * 1.05), margin, 24,
      { size = TITLE, weight = 1.45, valign = "middle" })
  end
  c:text("query", margin + o.size / 2, top - 8,
    { size = 12, align = "center", color = colors.soft })
  c:text("nearest first", margin + o.size + gap + apart, top - 8,
    { size = 12, color = colors.soft })
  for row, q in ipairs(queries) do
    if math.type(q) ~= "integer" or q < 1 or q > n then
      crun.fail(where, ("queries are row numbers in 1 .. %d, got %s"):format(n, tostring(q)))
    end
    local near = unit:matmul(unit[q]:reshape(unit:size(2), 1)):reshape(n):totable()
    local order = {}
    for i = 1, n do if i ~= q then order[#order + 1] = i end end
    table.sort(order, function(a, b) return near[a] > near[b] or (near[a] == near[b] and a < b) end)
    local y = top + (row - 1) * (o.size + caption + between)
    draw_cell(c, image(q), margin, y, o.size, colors.soft)
    local name = o.names[labels[q]] or tostring(labels[q])
    c:text(canvas.fit(name, o.size + apart, 11), margin + o.size / 2, y + o.size + 7,
      { size = 11, align = "center", valign = "top" })
    for j = 1, k do
      local i = order[j]
      local x = margin + o.size + gap + apart + (j - 1) * (o.size + gap)
      draw_cell(c, image(i), x, y, o.size, nil, labels[i] == labels[q] and "right" or "wrong")
      c:text(("%.2f"):format(near[i]):gsub("^-", "−"), x + o.size / 2, y + o.size + 7,
        { size = 11, align = "center", valign = "top", color = colors.soft })
    end
    if row < #queries then
      local line = y + o.size + caption + between / 2 - 1
      c:line({ margin, line, c.width - margin, line }, { color = colors.grid })
    end
  end
  return finish(c, o)
end

-- The class of each point, counted from 1 in order of the labels, and the labels.
local function classes_of(labels, n)
  local class, list, place = {}, {}, {}
  for i = 1, n do
    local label = labels and labels[i] or 0
    if not place[label] then place[label], list[#list + 1] = true, label end
  end
  table.sort(list)
  for k, label in ipairs(list) do place[label] = k end
  for i = 1, n do class[i] = place[labels and labels[i] or 0] end
  return class, list
end

local function draw_thumbnail(c, image, x, y, side, color, dash)
  c:image(image, x - side / 2, y - side / 2, side, side)
  local a = side / 2 + 0.5
  c:line({ x - a, y - a, x + a, y - a, x + a, y + a, x - a, y + a },
    { color = color, width = 2, closed = true, dash = dash })
end

--- A map of points in the plane. points real [N, 2]; labels int64 [N] gives each class a colour and
-- a shape; names: class names by label; images: thumbnails instead of dots, framed in the class
-- colour; size of a dot (8) or a thumbnail (34); xlabel, ylabel. Up to 20 classes are listed beside
-- the map.
function M.map(opts)
  local where = "plot.map"
  local o = check(where, opts, {
    points = "tensor", labels = "tensor?", names = { "table", {} }, images = "any?",
    size = "number?",
    xlabel = "string?", ylabel = "string?",
  })
  if o.points:ndim() ~= 2 or o.points:size(2) ~= 2 then
    local shape = table.concat(o.points:shape(), ", ")
    crun.fail(where, ("points must be [N, 2], got [%s]"):format(shape))
  end
  local points, n = o.points:detach():totable(), o.points:size(1)
  local labels = o.labels and o.labels:totable()
  if labels and #labels ~= n then
    crun.fail(where, ("labels must have %d numbers as points have rows, got %d"):format(n, #labels))
  end
  local image, count
  if o.images then
    image, count = images_of(where, o.images)
    if count ~= n then crun.fail(where, ("there are %d images for %d points"):format(count, n)) end
  end

  local class, classes = classes_of(labels, n)
  local entries = {}
  for k, label in ipairs(classes) do
    local color, dash = style(k)
    entries[k] = {
      name = o.names[label] or ("class %d"):format(label), color = color,
      shape = not image and shape_of(k) or nil,
      kind = not image and "mark" or "line", dash = dash,
    }
  end
  if not labels or #entries > 20 then entries = {} end
  o.aside = #entries > 0 and legend_size(entries) + 4 or 0

  local xs, ys = {}, {}
  for i, p in ipairs(points) do xs[i], ys[i] = p[1], p[2] end
  local air, x, y = image and 0.06 or 0.04, {}, {}
  x.low, x.high = range_of(xs, false, air)
  y.low, y.high = range_of(ys, false, air)
  local c = canvas.new(o.width or 640 + o.aside, o.height or 600, o.scale)
  local X, Y, box = draw_axes(c, o, x, y)
  local places = {}                                -- by class, drawn in one call each
  for i = 1, n do
    local px, py, k = X(xs[i]), Y(ys[i]), class[i]
    if px and py and image then
      draw_thumbnail(c, image(i), px, py, o.size or 34, style(k))
    elseif px and py then
      places[k] = places[k] or {}
      table.move({ px, py }, 1, 2, #places[k] + 1, places[k])
    end
  end
  for k in ipairs(classes) do
    if places[k] then
      c:marks(places[k], { color = (style(k)),
        shape = shape_of(k),
        size = o.size or 8, edge = 0.6, alpha = 0.9 })
    end
  end
  draw_legend(c, box, entries, {}, "aside")
  return finish(c, o)
end

return M
