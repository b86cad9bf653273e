--- What experiments on pen strokes share: the data, encoders, distances, one-shot tasks.
--
-- A set is { points = real [N T 3], lengths = int64 [N], labels, alphabets = int64 [N] }. points: x
-- and y, evenly placed along the lines of a drawing, each drawing centred and scaled into the
-- square -1 .. 1 (y grows downwards), and 1 where the pen comes down, 0 while it moves; zeros
-- behind the end.
--
-- @module crun.study.strokes
local crun = require "crun"
local study = require "crun.study"
local nn = crun.nn

local M = {}

local SIDE <const>, EDGE <const> = 24, 1.25               -- maps of a drawing: cells, half a side

-- ---- data ---------------------------------------------------------------------------------------

-- 1 up to the length of a row, 0 behind it: [N T 1]
local function mask_of(lengths, T)
  local N = #lengths
  return crun.arange(1, T):reshape(1, T):le(lengths:reshape(N, 1)):real():reshape(N, T, 1)
end

-- Centred and scaled: the middle of the box that holds it at 0, its longer side 2 long.
local function fitted(points, lengths)
  local N, T = points:size(1), points:size(2)
  local mask = mask_of(lengths, T)
  local xy, far = points:narrow(3, 1, 2), (1 - mask) * 1e6
  local low, high = (xy + far):amin(2), (xy - far):amax(2)
  local side = (high - low):amax(2):clamp { min = 1e-6 }:reshape(N, 1, 1)
  local moved = (xy - ((low + high) / 2):reshape(N, 1, 2)) * 2 / side
  return crun.cat({ moved, points:narrow(3, 3, 1) }, 3) * mask
end

-- A drawing, rows of { x, y, ..., pen }, as at most `most` rows of { x, y, pen }: two or more for
-- each of its lines, from end to end, as many as it is long. A pen sends points at even times, and
-- hands differ in where they are fast.
local function even(rows, most)
  local lines, whole, out = {}, 0, {}
  for _, row in ipairs(rows) do
    if row[#row] == 1 then lines[#lines + 1] = {} end
    local line = lines[#lines]
    local last, way = line[#line], 0
    if last then way = math.sqrt((row[1] - last.x)^2 + (row[2] - last.y)^2) end
    line[#line + 1] = { x = row[1], y = row[2], at = last and last.at + way or 0 }
    whole = whole + way
  end
  for _, line in ipairs(lines) do
    local i, long = 1, line[#line].at
    local n = 2 + math.floor(math.max(0, most - 2 * #lines) * long / math.max(whole, 1e-9))
    for k = 0, math.min(n, most - #out) - 1 do
      local at = long * k / (n - 1)
      while i < #line - 1 and line[i + 1].at < at do i = i + 1 end
      local from, to = line[i], line[i + 1] or line[i]
      local part = to.at > from.at and math.min(1, (at - from.at) / (to.at - from.at)) or 0
      out[#out + 1] = { from.x + part * (to.x - from.x), from.y + part * (to.y - from.y),
        k == 0 and 1 or 0 }
    end
  end
  local n = #out
  for i = n + 1, most do out[i] = { 0, 0, 0 } end
  return out, n
end

--- The drawings: cfg.data "generated" (5 alphabets of 20 characters by 20 hands), or a folder with
-- Omniglot's strokes; cfg.steps, the most points of one.
function M.load(cfg)
  local set, drawings
  if cfg.data == "generated" then
    local _, labels, alphabets, sent, counts = crun.data.glyphs { alphabets = cfg.quick and 3 or 5 }
    set, drawings = { labels = labels, alphabets = alphabets }, {}
    for i, n in ipairs(counts:totable()) do drawings[i] = sent[i]:narrow(1, 1, n) end
  else
    set = crun.datasets.omniglot_strokes(cfg.data)
    drawings = set.points
  end
  local points, lengths = {}, {}
  for i, drawing in ipairs(drawings) do
    points[i], lengths[i] = even(drawing:totable(), cfg.steps)
  end
  lengths = crun.int(lengths)
  return { points = fitted(crun.tensor(points), lengths), lengths = lengths, labels = set.labels,
    alphabets = set.alphabets, names = set.alphabet_names }
end

local function part(set, rows)
  rows = crun.int(rows)
  local labels, known, count = set.labels:index_select(rows):totable(), {}, 0
  for i, label in ipairs(labels) do                      -- from 1 without gaps
    if not known[label] then
      count = count + 1
      known[label] = count
    end
    labels[i] = known[label]
  end
  return { points = set.points:index_select(rows), lengths = set.lengths:index_select(rows),
    labels = crun.int(labels), alphabets = set.alphabets:index_select(rows) }
end

--- Two sets that share no alphabet: the rest, and the number-th alphabet (they are gone through in
-- turn), held out; and its name.
function M.hold_out(set, number)
  local all = crun.unique(set.alphabets):totable()
  local held, rest, out = all[(number - 1) % #all + 1], {}, {}
  for row, alphabet in ipairs(set.alphabets:totable()) do
    local to = alphabet == held and out or rest
    to[#to + 1] = row
  end
  return part(set, rest), part(set, out), set.names and set.names[held] or "alphabet " .. held
end

-- ---- encoders -----------------------------------------------------------------------------------

-- The steps along the lines [N T 2] (0 where the pen comes down), their directions, and the same
-- with the angle doubled: that of the line, whichever end it was begun at.
local function directions(points)
  local xy, down = points:narrow(3, 1, 2), points:narrow(3, 3, 1)
  local steps = (xy - xy:roll(1, 2)) * (1 - down)
  local unit = steps / ((steps * steps):sum { dim = 3, keepdim = true }:sqrt() + 1e-6)
  local x, y = unit:narrow(3, 1, 1), unit:narrow(3, 2, 1)
  return steps, unit, crun.cat({ x * x - y * y, 2 * x * y }, 3)
end

--- The order of the points counts: two convolutions along them (the first halves their number), a
-- recurrent layer both ways, its states averaged and the largest taken, a linear layer:
-- net(points, lengths) -> rows of length 1.
function M.recurrent(cfg)
  local hidden = cfg.hidden
  local Encoder = nn.class "RecurrentEncoder"
  function Encoder:init()
    self.front = nn.Sequential {
      nn.Conv1d(7, hidden // 2, 5, { stride = 2, padding = 2 }), nn.BatchNorm1d(hidden // 2),
      nn.ReLU(),
      nn.Conv1d(hidden // 2, hidden, 3, { padding = 1 }), nn.BatchNorm1d(hidden), nn.ReLU(),
    }
    self.gru = nn.GRU(hidden, hidden, { bidirectional = true })
    self.head = nn.Linear(4 * hidden, cfg.embedding)
  end
  function Encoder:forward(points, lengths)
    local _, unit, doubled = directions(points)
    local features = crun.cat({ points, unit, doubled }, 3) * mask_of(lengths, points:size(2))
    local local_shapes = self.front(features:transpose(2, 3):contiguous())
    local half = ((lengths + 1):real() / 2):floor():int()
    local states = self.gru(local_shapes:permute(3, 1, 2):contiguous(), { lengths = half })
    local mean = states:sum(1) / half:real():reshape(#half, 1)
    return self.head(crun.cat({ mean, states:amax(1) }, 2)):normalize()
  end
  return Encoder()
end

-- Drawings as maps [N 5 SIDE SIDE]: how much line a cell holds, and how much of it lies, stands,
-- falls and rises. Points and the middles between them are shared among the four cells about each.
local function maps(points, lengths)
  local N, T = points:size(1), points:size(2)
  local mask = mask_of(lengths, T)
  local steps, _, doubled = directions(points)
  local ink = crun.cat({ crun.ones(N, T, 1), doubled:relu(), (-doubled):relu() }, 3) * mask
  local drawn = crun.cat({ ink, ink * (1 - points:narrow(3, 3, 1)) }, 2)
  local xy = points:narrow(3, 1, 2)
  local at = (crun.cat({ xy, xy - steps / 2 }, 2) + EDGE) * ((SIDE - 1) / (2 * EDGE))
  at = at:clamp { min = 0, max = SIDE - 1.001 }
  local cell = at:floor()
  local part = at - cell
  local first = crun.arange(0, N - 1):reshape(N, 1, 1) * (SIDE * SIDE) + 1
  local cells, shares = {}, {}
  for corner = 0, 3 do
    local right, below = corner % 2, corner // 2
    local x, y = part:narrow(3, 1, 1), part:narrow(3, 2, 1)
    local share = (right == 1 and x or 1 - x) * (below == 1 and y or 1 - y)
    shares[corner + 1] = (drawn * share):reshape(N * 2 * T, 5)
    cells[corner + 1] = ((cell:narrow(3, 2, 1) + below) * SIDE + cell:narrow(3, 1, 1) + right):int()
      + first
  end
  local sums = crun.zeros(N * SIDE * SIDE, 5):index_add(crun.stack(cells):reshape(8 * N * T),
    crun.cat(shares, 1))
  return sums:clamp { max = 1.5 }:reshape(N, SIDE, SIDE, 5):permute(1, 4, 2, 3):contiguous()
end

--- The order does not count: a convolutional network on maps of the lines' directions (Bai, Huo,
-- "A study on the use of 8-directional features for online handwritten Chinese character
-- recognition", ICDAR 2005, here 4). As M.recurrent otherwise.
function M.mapped(cfg)
  local Encoder = nn.class "MapEncoder"
  function Encoder:init()
    self.net = study.convnet { channels = 5, size = SIDE, widths = cfg.widths,
      embedding = cfg.embedding }
  end
  function Encoder:forward(points, lengths) return self.net(maps(points, lengths)) end
  return Encoder()
end

--- Rows of a set, each changed at random: its lines drawn in another order or begun at the other
-- end, bent by two waves, and the whole mapped linearly near one of the eight turns and mirror
-- images of the square, and moved. Drawings of a character share their turn. Returns points,
-- lengths and the number of the turn, 0 .. 7 (upright: all 0). A function of seed and step.
function M.changed(set, rows, cfg, seed, step, upright)
  local rng, o = crun.rng(seed, "strokes.changed", step), cfg.augment
  local N, T = #rows, set.points:size(2)
  local points, lengths = set.points:index_select(rows), set.lengths:index_select(rows)
  local downs = points:narrow(3, 3, 1):reshape(N, T):totable()
  local labels, turn_of = set.labels:index_select(rows):totable(), {}
  local linear, turns, order, starts = {}, {}, {}, {}
  for i, n in ipairs(lengths:totable()) do
    local turn = upright and 0 or turn_of[labels[i]] or rng:below(8) - 1
    turn_of[labels[i]] = turn
    local c, s = ({ [0] = 1, 0, -1, 0 })[turn % 4], ({ [0] = 0, 1, 0, -1 })[turn % 4]
    local mirror = turn < 4 and 1 or -1
    local function play() return o.linear * rng:normal() end
    linear[i] = { { mirror * (c + play()), -s + play() }, { mirror * (s + play()), c + play() } }
    turns[i] = turn
    local lines, from, down = {}, {}, {}
    for k = 1, n do
      if downs[i][k] == 1 then lines[#lines + 1] = {} end
      table.insert(lines[#lines], (i - 1) * T + k)
    end
    if rng:uniform() < o.order then rng:shuffle(lines) end
    for _, line in ipairs(lines) do
      local back = rng:uniform() < o.reverse
      for k = 1, #line do
        from[#from + 1], down[#down + 1] = line[back and #line + 1 - k or k], k == 1 and 1 or 0
      end
    end
    for k = n + 1, T do from[k], down[k] = (i - 1) * T + k, 0 end
    order[i], starts[i] = from, down
  end
  local xy = points:narrow(3, 1, 2):contiguous():reshape(N * T, 2)
  xy = xy:index_select(crun.int(order):reshape(N * T)):reshape(N, T, 2)
  local function mapped(by) return crun.einsum({ xy, by }, "nti,nji->ntj") end
  xy = mapped(crun.tensor(linear))
  for _ = 1, 2 do
    local wave = mapped(crun.randn(rng, N, 2, 2) * 1.5) + crun.rand(rng, N, 1, 2) * (2 * math.pi)
    xy = xy + wave:sin() * crun.randn(rng, N, 1, 2) * o.bend
  end
  xy = xy + crun.randn(rng, N, 1, 2) * o.shift
  return crun.cat({ xy, crun.tensor(starts):reshape(N, T, 1) }, 3) * mask_of(lengths, T), lengths,
    crun.int(turns)
end

--- Embeddings of a set: the mean over `views` views of each drawing, itself and others changed as
-- in training but for the turns.
function M.embed(net, set, cfg, views)
  local _ <close> = crun.no_grad()
  local parts = {}
  net:eval()
  for first = 1, #set.labels, 200 do
    local n = math.min(200, #set.labels - first + 1)
    local rows = crun.arange(first, first + n - 1)
    parts[#parts + 1] = crun.scope(function()
      local z = net(set.points:index_select(rows), set.lengths:index_select(rows))
      for view = 2, views do z = z + net(M.changed(set, rows, cfg, first, view, true)) end
      return z:normalize()
    end)
  end
  net:train()
  return crun.cat(parts, 1)
end

-- ---- distances: of rows a to rows b, [A B] ------------------------------------------------------

local function path(set, rows)
  return set.points:index_select(rows):narrow(3, 1, 2):contiguous(), set.lengths:index_select(rows)
end

--- Euclid between both resampled to 32 points.
function M.euclid(set)
  local x = study.resampled(set.points, set.lengths, 32):reshape(#set.labels, -1)
  return function(a, b) return crun.cdist(x:index_select(a), x:index_select(b)) end
end

--- DTW of the points, as they are, over the sum of both lengths.
function M.dtw(set)
  return function(a, b)
    local x, n = path(set, a)
    local y, m = path(set, b)
    local d = crun.dtw_matrix(x, y, n, m, { cost = "euclidean" })
    return d / (n:real():reshape(#a, 1) + m:real():reshape(1, #b))
  end
end

--- The soft-DTW divergence of both resampled to 32 points.
function M.soft_dtw(set, gamma)
  local x = study.resampled(set.points, set.lengths, 32)
  local criterion = crun.losses.soft_dtw { gamma = gamma, divergence = true, reduction = "none" }
  return function(a, b)
    local A, B = #a, #b
    local left = a:reshape(A, 1):expand(A, B):contiguous():reshape(A * B)
    local right = b:reshape(1, B):expand(A, B):contiguous():reshape(A * B)
    return criterion(x:index_select(left), x:index_select(right)):reshape(A, B)
  end
end

-- ---- one-shot tasks -----------------------------------------------------------------------------

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- Errors of each rival { name, distances(a, b) } on `tasks` tasks: 20 characters of one alphabet
-- (all, where it has fewer), of each two drawings; the first ones are known, the others are to be
-- named. The tasks are a function of seed: the same for all.
function M.errors(set, rivals, tasks, seed)
  local _ <close> = crun.no_grad()
  local by, rng = {}, crun.rng(seed, "strokes.errors")
  local labels = set.labels:totable()
  for row, alphabet in ipairs(set.alphabets:totable()) do
    by[alphabet] = by[alphabet] or {}
    by[alphabet][labels[row]] = by[alphabet][labels[row]] or {}
    table.insert(by[alphabet][labels[row]], row)
  end
  local alphabets, wrong, count = sorted(by), {}, 0
  for i = 1, #rivals do wrong[i] = 0 end
  for task = 1, tasks do
    local characters = by[alphabets[(task - 1) % #alphabets + 1]]
    local chosen = sorted(characters)
    rng:shuffle(chosen)
    local known, asked = {}, {}
    for c = 1, math.min(20, #chosen) do
      local rows = table.move(characters[chosen[c]], 1, #characters[chosen[c]], 1, {})
      rng:shuffle(rows)
      known[c], asked[c] = rows[1], rows[2]
    end
    count = count + #known
    for i, rival in ipairs(rivals) do
      local d = rival[2](crun.int(asked), crun.int(known))
      wrong[i] = wrong[i] + d:argmin { dim = 2 }:ne(crun.arange(1, #known)):real():sum():item()
    end
  end
  for i = 1, #rivals do wrong[i] = wrong[i] / count end
  return wrong
end

-- ---- a picture ----------------------------------------------------------------------------------

--- The first drawings of some characters, five hands each: points joined by lines, a large one
-- where the pen comes down.
function M.picture(o)
  local canvas = require "crun.canvas"
  local c = canvas.new(760, 5 * 96 + 60)
  c:text(o.title, 20, 26, { size = 17 })
  for k = 0, 34 do
    local row = math.min(#o.set.labels, k // 5 * 20 + k % 5 + 1)
    local left, top = 20 + k // 5 * 104, 44 + k % 5 * 96
    local line, marks, downs = {}, {}, {}
    for i = 1, o.set.lengths[row] do
      local p = o.set.points[row][i]:totable()
      local x, y = left + 48 + 40 * p[1], top + 48 + 40 * p[2]
      if p[3] == 1 and i > 1 then table.move({ false, false }, 1, 2, #line + 1, line) end
      table.move({ x, y }, 1, 2, #line + 1, line)
      table.move({ x, y }, 1, 2, #marks + 1, marks)
      if p[3] == 1 then table.move({ x, y }, 1, 2, #downs + 1, downs) end
    end
    c:line(line, { color = canvas.palette[k // 5 % #canvas.palette + 1], width = 1.4 })
    c:marks(marks, { color = canvas.colors.ink, size = 1.8 })
    c:marks(downs, { color = canvas.colors.ink, size = 5 })
  end
  return c:save(o.path)
end

return M
