--- evidence.lua - what a report shows of the embeddings of one set, kept in the run folder
--
--     run:embeddings("test", { embeddings = z, labels = test.labels, images = test.images })
--
-- writes
--
--   embeddings/test.safetensors   a sample of at most 500 rows: embeddings [P, D], labels [P], rows
--                                 [P] (from 1), images uint8 [P, h, w] or [P, 3, h, w] of at most
--                                 32 x 32; panel_images, the same for each query and its neighbours
--   evidence.json                 { version, sets = { test = { ... } } }: numbers over all rows
--
-- The sample is every n-th row, so runs on the same data show the same points. Numbers of a set:
--
--   rows, classes, width, distance
--   positive, negative   distances of pairs of one label and of two: pairs, mean, std
--   overlap              the area both histograms share, 1: nothing is told apart
--   d_prime              |mean_n - mean_p| / sqrt((var_p + var_n) / 2)
--   histogram            low, high, positive, negative: counts in 64 bins
--   roc                  far (steps of a tenth of a decade, not below 1 / negative pairs) and tar
--   recall               k and value: a match among the k nearest; map@r, precision@1
--   effective_rank, participation                    as eval.spectrum
--   spread               sqrt(mean |z - mean z|^2 / mean |z|^2): 0 when all are one point
--   norm                 mean and std of |z|
--   class_map            label, map@r and rows of the classes, worst first (at most 200)
--   panels               4 queries spread over the set and the 4 whose first right row comes
--                        latest: kind, query, label, and of the 5 nearest
--                        rows, labels, right, distances
--
-- @module crun.evidence
local crun = require "crun"
local cio = crun.io
local eval = require "crun.eval"
local options = require "crun.options"

local M = {}

local MOST_POINTS <const>, SIDE <const>, BINS <const> = 500, 32, 64
local NEAREST <const>, STEADY <const>, FAILURES <const> = 5, 4, 4
local AT <const> = { 1, 2, 4, 8, 16, 32 }

local function finite(v) return v == v and v - v == 0 and v or nil end

-- `count` of the numbers 1 .. n, evenly
local function evenly(n, count)
  local rows = {}
  count = math.min(n, count)
  for i = 1, count do rows[i] = (2 * i - 1) * n // (2 * count) + 1 end
  return rows
end

--- Byte images of at most `side` pixels of the rows of a set of images, or nil without images.
function M.thumbnails(where, images, rows, side)
  if not images or #rows == 0 then return nil end
  local ndim, shape = images:ndim(), images:shape()
  if ndim < 3 or ndim > 4 or (ndim == 4 and shape[2] ~= 1 and shape[2] ~= 3) then
    crun.fail(where, ("images must be [N, H, W], [N, 1, H, W] or [N, 3, H, W], got [%s]"):format(
      table.concat(shape, ", ")))
  end
  local x = images:index_select(crun.int(rows), 1)
  if x:dtype() ~= "uint8" then
    -- reals in 0 .. 1; whatever was normalised is stretched to it
    local low, high = x:amin():item(), x:amax():item()
    if low < -1e-3 or high > 1.001 then x = (x - low) / math.max(high - low, 1e-12) end
    x = (x:clamp { min = 0, max = 1 } * 255 + 0.5):byte()
  end
  if ndim == 4 and shape[2] == 1 then x = x:select(2, 1):contiguous() end
  local H, W = shape[ndim - 1], shape[ndim]
  local scale = math.min(1, side / math.max(H, W))
  if scale == 1 then return x end
  return crun.data.resize(x, { height = math.max(1, math.floor(H * scale + 0.5)),
    width = math.max(1, math.floor(W * scale + 0.5)) })
end

-- ---- numbers ------------------------------------------------------------------------------------

local function moments(d)
  local n = d:numel()
  if n == 0 then return { pairs = 0 } end
  local mean = d:mean():item()
  return { pairs = n, mean = mean, std = math.sqrt((d - mean):square():mean():item()) }
end

local function counts(d, low, high)
  local out = {}
  for i = 1, BINS do out[i] = 0 end
  local width = (high - low) / BINS
  for _, v in ipairs(d:totable()) do
    local bin = math.min(BINS, math.max(1, math.floor((v - low) / width) + 1))
    out[bin] = out[bin] + 1
  end
  return out
end

-- rows of length 1 lie within 2 of each other: one scale for all losses
local function reach(z, d, distance)
  local norms = z:square():sum(2)
  local unit = (norms - 1):abs():amax():item() < 1e-3
  if distance == "cosine" or unit and distance == "euclidean" then return 0, 2 end
  local low, high = d[1]:amin():item(), d[1]:amax():item()
  if d[2]:numel() > 0 then
    low, high = math.min(low, d[2]:amin():item()), math.max(high, d[2]:amax():item())
  end
  low = distance == "dot" and low or 0
  return low, high > low and high or low + 1
end

local function separation(out, z, same, different, distance)
  out.positive, out.negative = moments(same), moments(different)
  if same:numel() == 0 or different:numel() == 0 then return end
  local low, high = reach(z, { same, different }, distance)
  local p, n = counts(same, low, high), counts(different, low, high)
  local shared = 0
  for i = 1, BINS do
    shared = shared + math.min(p[i] / same:numel(), n[i] / different:numel())
  end
  out.histogram = { low = low, high = high, positive = p, negative = n }
  out.overlap = shared
  local spread = math.sqrt((out.positive.std ^ 2 + out.negative.std ^ 2) / 2)
  if spread > 0 then out.d_prime = math.abs(out.negative.mean - out.positive.mean) / spread end
end

-- TAR at false accept rates a tenth of a decade apart: the largest TAR with FAR <= x
local function roc(same, different)
  local negatives = different:numel()
  if negatives == 0 or same:numel() == 0 then return end
  local wanted = {}
  for step = -60, 0 do
    local far = 10 ^ (step / 10)
    if far * negatives >= 1 - 1e-9 then wanted[#wanted + 1] = far end
  end
  local d = crun.cat({ same, different }, 1)
  local is_same = crun.cat({ crun.ones(same:numel()), crun.zeros(negatives) }, 1)
  local _, _, tar, stats = crun.metrics.verification(d * -1, is_same, crun.tensor(wanted))
  return { far = wanted, tar = tar:totable() }, stats
end

local function class_map(labels, map)
  local of, list = {}, {}
  for i, label in ipairs(labels) do
    if map[i] == map[i] then
      local c = of[label]
      if not c then
        c = { label = label, sum = 0, rows = 0 }
        of[label], list[#list + 1] = c, c
      end
      c.sum, c.rows = c.sum + map[i], c.rows + 1
    end
  end
  table.sort(list, function(a, b)
    local x, y = a.sum / a.rows, b.sum / b.rows
    if x ~= y then return x < y end
    return a.label < b.label
  end)
  local out = { label = {}, ["map@r"] = {}, rows = {} }
  for i = 1, math.min(#list, 200) do
    out.label[i], out["map@r"][i], out.rows[i] = list[i].label, list[i].sum / list[i].rows,
      list[i].rows
  end
  return out, #list
end

-- ---- retrieval panels ---------------------------------------------------------------------------

-- rows spread over the set, then those whose first match comes latest
local function queries_of(first)
  local have, able = {}, {}
  for i, place in ipairs(first) do
    if place > 0 then able[#able + 1] = i end
  end
  local list = {}
  for _, at in ipairs(evenly(#able, STEADY)) do
    list[#list + 1] = { kind = "steady", query = able[at] }
    have[able[at]] = true
  end
  local failing = {}
  for _, i in ipairs(able) do
    if first[i] > 1 and not have[i] then failing[#failing + 1] = i end
  end
  table.sort(failing, function(a, b)
    if first[a] ~= first[b] then return first[a] > first[b] end
    return a < b
  end)
  for k = 1, math.min(FAILURES, #failing) do
    list[#list + 1] = { kind = "failure", query = failing[k], first = first[failing[k]] }
  end
  return list
end

local function panels_of(z, labels, first, distance)
  local list, rows = queries_of(first), {}
  local k = math.min(NEAREST, #labels - 1)
  if #list == 0 or k < 1 then return {}, rows end
  -- one more is asked for: with the whole set as references the query finds itself
  local queries = {}
  for i, panel in ipairs(list) do queries[i] = panel.query end
  local d, index = crun.metrics.neighbours(z:index_select(crun.int(queries), 1), z,
    { k = k + 1, distance = distance })
  d, index = d:totable(), index:totable()
  for i, panel in ipairs(list) do
    panel.label, panel.rows, panel.labels = labels[panel.query], {}, {}
    panel.right, panel.distances = {}, {}
    rows[#rows + 1] = panel.query
    for j, row in ipairs(index[i]) do
      if row ~= panel.query and #panel.rows < k then
        local at = #panel.rows + 1
        panel.rows[at], panel.labels[at] = row, labels[row]
        panel.distances[at] = finite(d[i][j]) or 0
        panel.right[at] = labels[row] == panel.label
        rows[#rows + 1] = row
      end
    end
  end
  return list, rows
end

-- ---- all of it ----------------------------------------------------------------------------------

local function spread_of(out, z)
  local mean, length = z:mean(1), z:square():sum(2):sqrt()
  local total = length:square():mean():item()
  local mean_norm = length:mean():item()
  out.norm = { mean = mean_norm, std = math.sqrt((length - mean_norm):square():mean():item()) }
  local around = (z - mean):square():sum(2):mean():item()
  out.spread = total > 0 and math.sqrt(around / total) or 0
  local spectrum = eval.spectrum(z)
  out.effective_rank, out.participation = spectrum.effective_rank, spectrum.participation
end

--- The numbers of a set, and the rows whose images its panels show.
function M.measure(z, labels, distance)
  local _ <close> = crun.no_grad()
  local out = { rows = z:size(1), width = z:size(2), distance = distance }
  local numbers = labels:totable()
  local same, different = eval.distances(z, labels, { distance = distance })
  separation(out, z, same, different, distance)
  local verified
  out.roc, verified = roc(same, different)
  if verified then out.auc, out.eer = finite(verified.roc_auc), finite(verified.eer) end
  local k = {}
  for _, at in ipairs(AT) do
    if at < out.rows then k[#k + 1] = at end
  end
  local panel_rows = {}
  out.panels = {}
  if #k > 0 then
    local got = table.pack(crun.metrics.retrieval(z, labels, nil, nil, nil, nil,
      { distance = distance, k = k }))
    local first, map, recall, stats = got[1], got[3], got[5], got[got.n]
    out.recall = { k = k, value = recall:totable() }
    for i, v in ipairs(out.recall.value) do out.recall.value[i] = finite(v) or 0 end
    out["map@r"], out["precision@1"] = finite(stats.map_at_r), finite(stats.precision_at_1)
    out.class_map, out.classes = class_map(numbers, map:totable())
    out.panels, panel_rows = panels_of(z, numbers, first:totable(), distance)
  end
  spread_of(out, z)
  return out, panel_rows, same, different
end

local function check(where, opts)
  local o = options.check(where, opts, {
    embeddings = "tensor", labels = "tensor", images = "tensor?",
    distance = { "string", "euclidean", choices = { "euclidean", "manhattan", "cosine", "dot" } } })
  local z = o.embeddings:detach()
  if z:ndim() ~= 2 then
    crun.fail(where, ("embeddings must be [N, D], got [%s]"):format(table.concat(z:shape(), ", ")))
  end
  local N = z:size(1)
  for _, name in ipairs { "labels", "images" } do
    local t = o[name]
    if t and (t:ndim() == 0 or t:size(1) ~= N) then
      crun.fail(where, ("%s must have %d rows as embeddings, got [%s]"):format(name, N,
        table.concat(t:shape(), ", ")))
    end
  end
  if o.labels:ndim() ~= 1 then crun.fail(where, "labels must be one number a row") end
  if N < 2 then crun.fail(where, ("needs 2 rows or more, got %d"):format(N)) end
  local sum = z:abs():sum():item()
  if sum - sum ~= 0 then crun.fail(where, "embeddings hold a value that is not finite") end
  return z, o
end

local function read(path)
  if not cio.exists(path) then return { version = 1, sets = {} } end
  local ok, value = pcall(function() return cio.json_decode(cio.read_file(path)) end)
  return ok and type(value) == "table" and type(value.sets) == "table" and value or
    { version = 1, sets = {} }
end

--- run:embeddings(name, { embeddings =, labels =, images =, distance = "euclidean" }): the files
-- above; again with the same name replaces what was there. images: uint8, or reals. Also puts
-- NAME/effective_rank and NAME/spread into the summary, and the distances as histograms into the
-- event file. Returns the numbers.
function M.write(run, name, opts)
  local where = "run:embeddings"
  options.check_value(where, "name", name, "string")
  if not name:find("^[%w_][%w_.-]*$") then
    crun.fail(where, ("the name must be letters, digits, '_', '-' and '.', got '%s'"):format(name))
  end
  local z, o = check(where, opts)
  local numbers, panel_rows, same, different = M.measure(z, o.labels, o.distance)
  local rows = evenly(z:size(1), MOST_POINTS)
  local at = crun.int(rows)
  run:writing("the evidence", function()
    local folder = run.path .. "/embeddings"
    cio.mkdir(folder)
    cio.write_safetensors(("%s/%s.safetensors"):format(folder, name), {
      embeddings = z:index_select(at, 1), labels = o.labels:index_select(at, 1), rows = at,
      images = M.thumbnails(where, o.images, rows, SIDE),
      panel_images = M.thumbnails(where, o.images, panel_rows, SIDE),
    })
    local all = read(run.path .. "/evidence.json")
    all.sets[name] = numbers
    cio.write_file(run.path .. "/evidence.json", cio.json_encode(all) .. "\n")
  end)
  run:histogram({ same = same, different = different }, name .. "/distance_")
  run:summary { [name .. "/effective_rank"] = numbers.effective_rank, [name .. "/spread"] =
    numbers.spread }
  return numbers
end

return M
