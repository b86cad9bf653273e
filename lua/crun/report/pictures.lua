--- report/pictures.lua - the embeddings of runs as maps in the plane, and thumbnails as sprites
--
-- A sprite is one PNG of many thumbnails, COLUMNS a row, as a data: URI; equal ones are kept once,
-- so that losses which were tested on the same images share them.
local crun = require "crun"
local html = require "crun.report.html"
local cio = crun.io

local M = {}

local COLUMNS <const> = 25
local SHRINK_BYTES <const>, MOST_BYTES <const> = 1500000, 3200000   -- of all sprites
local PERPLEXITY <const>, NEAR <const> = 30, 12

-- ---- sprites ------------------------------------------------------------------------------------

--- A keeper of sprites: sprites:add(images) gives the id of a sprite, sprites.list all of them.
function M.sprites()
  return { list = {}, of = {}, bytes = 0, add = M.add_sprite }
end

-- one picture of all images, row by row
local function sheet(images)
  local shape = images:shape()
  local n, colour = shape[1], #shape == 4
  local H, W = shape[#shape - 1], shape[#shape]
  local columns = math.min(COLUMNS, n)
  local rows = (n + columns - 1) // columns
  local missing = rows * columns - n
  local x = images:reshape(n, colour and 3 or 1, H, W)
  if missing > 0 then x = crun.cat({ x, crun.zeros(missing, x:size(2), H, W):byte() }, 1) end
  x = x:reshape(rows, columns, x:size(2), H, W):permute(3, 1, 4, 2, 5):contiguous()
  return x:reshape(x:size(1), rows * H, columns * W), columns, rows, H, W
end

--- Adds uint8 images [N, h, w] or [N, 3, h, w]; returns the number of their sprite. So that the page
-- stays under 5 MB, many images are shrunk to half their sides after the first SHRINK_BYTES, and
-- there are none (nil) after MOST_BYTES.
function M.add_sprite(self, images)
  local ndim = images:ndim()
  if self.bytes > SHRINK_BYTES and images:numel() > SHRINK_BYTES / 5 then
    images = crun.data.resize(images, { height = math.max(1, images:size(ndim - 1) // 2),
      width = math.max(1, images:size(ndim) // 2) })
  end
  local picture, columns, rows, H, W = sheet(images)
  local png = cio.encode_png(picture)
  local sum = cio.sha256(png)
  if not self.of[sum] then
    if self.bytes + #png > MOST_BYTES then return nil end
    local id = #self.list + 1
    self.list[id] = { columns = columns, rows = rows, height = H, width = W,
      url = "data:image/png;base64," .. html.base64(png) }
    self.of[sum], self.bytes = id, self.bytes + #png
  end
  return self.of[sum]
end

--- The style that shows image `index` (from 1) of a sprite `px` pixels high.
function M.place(sprite, index, px)
  local column, row = (index - 1) % sprite.columns, (index - 1) // sprite.columns
  local width = px * sprite.width / sprite.height
  return ("width:%.4gpx;height:%dpx;background-size:%.5gpx auto;background-position:%.6gpx %dpx")
    :format(width, px, width * sprite.columns, -column * width, -row * px)
end

-- ---- maps ---------------------------------------------------------------------------------------

-- coordinates as whole numbers in 0 .. 1000, both axes on one scale
local function grid(points)
  local low, high = points:amin(1):totable(), points:amax(1):totable()
  local size = math.max(high[1] - low[1], high[2] - low[2])
  local out = cio.json_array {}
  for _, p in ipairs(points:totable()) do
    for k = 1, 2 do
      local middle = (high[k] + low[k]) / 2
      out[#out + 1] = math.floor(500 + (size > 0 and (p[k] - middle) / size * 1000 or 0) + 0.5)
    end
  end
  return out
end

-- two principal components; a second one of zeros where there is none
local function principal(z)
  if z:size(2) < 2 or z:size(1) < 3 then
    local first = z:narrow(2, 1, 1)
    return crun.cat({ first - first:mean(), crun.zeros(z:size(1), 1) }, 2), 1
  end
  local p = crun.pca.fit(z, 2)
  local ratio = p.ratio:totable()
  return p:transform(z), ratio[1] + ratio[2]
end

local function read(run, name)
  local path = ("%s/embeddings/%s.safetensors"):format(run.path, name)
  if not cio.exists(path) then return end
  local ok, tensors = pcall(cio.read_safetensors, path)
  return ok and tensors.embeddings and tensors.labels and tensors or nil
end

--- The maps of a run's embeddings, or nil where it kept none: { pca, tsne, labels, rows, variance,
-- trust_pca, trust_tsne, perplexity, neighbours, sprite, panel_sprite }.
function M.map(run, name, sprites)
  local t = read(run, name)
  if not t or t.embeddings:size(1) < 3 then return end
  local _ <close> = crun.no_grad()
  local z = t.embeddings
  local pca, ratio = principal(z)
  local tsne, stats = crun.metrics.tsne(z, pca, { perplexity = PERPLEXITY })
  local function trust(map)
    local _, s = crun.metrics.trustworthiness(z, map, { k = NEAR })
    return s.trustworthiness == s.trustworthiness and s.trustworthiness or nil, s.k
  end
  local trust_pca = trust(pca)
  local trust_tsne, near = trust(tsne)
  return { pca = grid(pca), tsne = grid(tsne), labels = t.labels:totable(),
    rows = t.rows and t.rows:totable(), variance = ratio, trust_pca = trust_pca,
    trust_tsne = trust_tsne, perplexity = stats.perplexity == stats.perplexity and
    stats.perplexity or nil, neighbours = near == near and near or nil,
    sprite = t.images and sprites:add(t.images),
    panel_sprite = t.panel_images and sprites:add(t.panel_images) }
end

return M
