--- What experiments on pen strokes share: the data, an encoder, distances, one-shot tasks.
--
-- A set is { points = real [N T 3], lengths = int64 [N], labels, alphabets = int64 [N] }. points: x
-- and y, each drawing centred and scaled into the square -1 .. 1 (y grows downwards), and 1 where
-- the pen comes down, 0 while it moves; zeros behind the end.
--
-- @module crun.study.strokes
local crun = require "crun"

local M = {}

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

-- A drawing of Omniglot [T 4] as at most `most` rows of { x, y, pen }: where there are more, the
-- ends of its strokes and evenly chosen points between them.
local function thinned(drawing, most)
  local rows, strokes, out = drawing:totable(), 0, {}
  for _, row in ipairs(rows) do strokes = strokes + row[4] end
  local every = math.max(1, math.ceil(#rows / math.max(1, most - 2 * strokes)))
  local since = 0
  for i, row in ipairs(rows) do
    local ends = row[4] == 1 or i == #rows or rows[i + 1][4] == 1
    since = ends and 0 or since + 1
    if (ends or since % every == 0) and #out < most then
      out[#out + 1] = { row[1], row[2], row[4] }
    end
  end
  local n = #out
  for i = n + 1, most do out[i] = { 0, 0, 0 } end
  return out, n
end

--- The drawings: cfg.data "generated" (5 alphabets of 20 characters by 20 hands), or a folder with
-- Omniglot's strokes; cfg.steps.
function M.load(cfg)
  if cfg.data == "generated" then
    local _, labels, alphabets, points, lengths = crun.data.glyphs {
      alphabets = cfg.quick and 3 or 5, steps = cfg.steps }
    return { points = fitted(points, lengths), lengths = lengths, labels = labels,
      alphabets = alphabets }
  end
  local set, points, lengths = crun.datasets.omniglot_strokes(cfg.data), {}, {}
  for i, drawing in ipairs(set.points) do points[i], lengths[i] = thinned(drawing, cfg.steps) end
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

--- Two sets that share no alphabet: `number` alphabets, chosen by seed, are held out. Returns the
-- rest, those held out, and their names.
function M.hold_out(set, number, seed)
  local all = crun.unique(set.alphabets):totable()
  crun.rng(seed, "strokes.hold_out"):shuffle(all)
  local held, names = {}, {}
  for i = 1, number do
    held[all[i]] = true
    names[i] = set.names and set.names[all[i]] or "alphabet " .. all[i]
  end
  local rest, out = {}, {}
  for row, alphabet in ipairs(set.alphabets:totable()) do
    local to = held[alphabet] and out or rest
    to[#to + 1] = row
  end
  return part(set, rest), part(set, out), table.concat(names, ", ")
end

-- ---- the encoder --------------------------------------------------------------------------------

-- Points, steps from one to the next, pen: [N T 5].
local function features(points)
  local xy = points:narrow(3, 1, 2)
  local steps = xy - xy:roll(1, 2)
  return crun.cat({ xy, steps * 3, points:narrow(3, 3, 1) }, 3)
end

--- Two convolutions over the points (the first halves their number), a recurrent layer both ways,
-- its states averaged and the largest taken, a linear layer: net(points, lengths) -> rows of length
-- 1.
function M.encoder(hidden, embedding)
  local nn = crun.nn
  local Encoder = nn.class "StrokeEncoder"
  function Encoder:init()
    self.front = nn.Sequential {
      nn.Conv1d(5, hidden // 2, 5, { stride = 2, padding = 2 }), nn.BatchNorm1d(hidden // 2),
      nn.ReLU(),
      nn.Conv1d(hidden // 2, hidden, 3, { padding = 1 }), nn.BatchNorm1d(hidden), nn.ReLU(),
    }
    self.gru = nn.GRU(hidden, hidden, { bidirectional = true })
    self.head = nn.Linear(4 * hidden, embedding)
  end
  function Encoder:forward(points, lengths)
    local local_shapes = self.front(features(points):transpose(2, 3):contiguous())
    local half = ((lengths + 1):real() / 2):floor():int()
    local states = self.gru(local_shapes:permute(3, 1, 2):contiguous(), { lengths = half })
    local mean = states:sum(1) / half:real():reshape(#half, 1)
    return self.head(crun.cat({ mean, states:amax(1) }, 2)):normalize()
  end
  return Encoder()
end

--- Rows of a set, each changed at random by a linear map near one of the eight turns and mirror
-- images of the square, moved, perhaps written backwards, and with points left out. Returns points,
-- lengths and the number of the turn, 0 .. 7 (upright: all 0). A function of seed and step.
function M.changed(set, rows, cfg, seed, step, upright)
  local rng, o = crun.rng(seed, "strokes.changed", step), cfg.augment
  local N, T = #rows, set.points:size(2)
  local points, lengths = set.points:index_select(rows), set.lengths:index_select(rows)
  local maps, turns, order, kept = {}, {}, {}, {}
  for i, n in ipairs(lengths:totable()) do
    local turn = upright and 0 or rng:below(8) - 1
    local c, s = ({ [0] = 1, 0, -1, 0 })[turn % 4], ({ [0] = 0, 1, 0, -1 })[turn % 4]
    local mirror = turn < 4 and 1 or -1
    local function play() return o.linear * rng:normal() end
    maps[i] = { { mirror * (c + play()), -s + play() }, { mirror * (s + play()), c + play() } }
    turns[i] = turn
    local back, all = rng:uniform() < o.reverse, {}
    for k = 1, n do
      local at = back and n + 1 - k or k
      if k == 1 or k == n or rng:uniform() >= o.drop then all[#all + 1] = (i - 1) * T + at end
    end
    kept[i] = #all
    for k = #all + 1, T do all[k] = (i - 1) * T + n end
    order[i] = all
  end
  local flat = points:reshape(N * T, 3):index_select(crun.int(order):reshape(N * T))
  points, lengths = flat:reshape(N, T, 3), crun.int(kept)
  local xy = crun.einsum({ points:narrow(3, 1, 2):contiguous(), crun.tensor(maps) }, "nti,nji->ntj")
  xy = xy + crun.randn(rng, N, 1, 2) * o.shift
  return crun.cat({ xy, points:narrow(3, 3, 1) }, 3) * mask_of(lengths, T), lengths, crun.int(turns)
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
  local x = require "crun.study".resampled(set.points, set.lengths, 32):reshape(#set.labels, -1)
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
  local x = require "crun.study".resampled(set.points, set.lengths, 32)
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

--- The points of the first drawings of some characters, five hands each, as dots joined by lines.
function M.picture(o)
  local canvas = require "crun.canvas"
  local c = canvas.new(760, 5 * 96 + 60)
  c:text(o.title, 20, 26, { size = 17 })
  for k = 0, 34 do
    local row = math.min(#o.set.labels, k // 5 * 20 + k % 5 + 1)
    local left, top = 20 + k // 5 * 104, 44 + k % 5 * 96
    local line, marks = {}, {}
    for i = 1, o.set.lengths[row] do
      local p = o.set.points[row][i]:totable()
      local x, y = left + 48 + 40 * p[1], top + 48 + 40 * p[2]
      if p[3] == 1 and i > 1 then table.move({ false, false }, 1, 2, #line + 1, line) end
      table.move({ x, y }, 1, 2, #line + 1, line)
      table.move({ x, y }, 1, 2, #marks + 1, marks)
    end
    c:line(line, { color = canvas.palette[k // 5 % #canvas.palette + 1], width = 1.4 })
    c:marks(marks, { color = canvas.colors.ink, size = 3.4 })
  end
  return c:save(o.path)
end

return M
