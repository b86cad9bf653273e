--- What losses and miners are measured on: `batch_of(B)` and inputs by their names.
--
-- @module crun.bench.samples
local crun = require "crun"

local M = {}

local WIDTH <const>, ITEMS <const> = 128, 8
M.WIDTH = WIDTH

--- What losses are tried on: classes of 8 around random centres.
function M.batch_of(B)
  local rng = crun.rng(1, "bench", B)
  local C = math.max(1, B // ITEMS)
  local list = {}
  for i = 1, B do list[i] = (i - 1) // ITEMS % C + 1 end
  local labels = crun.int(list)
  local centres = crun.randn(rng, C, WIDTH)
  local function view()
    return (centres:index_select(labels, 1) + crun.randn(rng, B, WIDTH) * 0.7):normalize()
  end
  return { B = B, C = C, rng = rng, labels = labels, view = view, z = view() }
end

local function noise(b, ...) return crun.randn(b.rng, ...) end
local function signs(b, ...) return (crun.randint(b.rng, 2, ...) * 2 - 3):real() end
local function row_numbers(b, n, ...) return crun.randint(b.rng, n, ...) end

-- What cannot be tried on inputs by their names alone: b -> inputs, and perhaps the criterion. What
-- is real wants its gradient.
local SPECIAL <const> = {
  cross_entropy = function(b) return { noise(b, b.B, b.C), b.labels } end,
  nll = function(b) return { noise(b, b.B, b.C):log_softmax(), b.labels } end,
  binary_cross_entropy = function(b)
    return { noise(b, b.B, WIDTH), crun.rand(b.rng, b.B, WIDTH) }
  end,
  kl_div = function(b)
    return { noise(b, b.B, WIDTH):log_softmax(), noise(b, b.B, WIDTH):softmax() }
  end,
  cosine_embedding = function(b) return { b.view(), b.view(), signs(b, b.B) } end,
  hinge_embedding = function(b) return { noise(b, b.B, WIDTH), signs(b, b.B, WIDTH) } end,
  margin_ranking = function(b)
    return { noise(b, b.B, WIDTH), noise(b, b.B, WIDTH), signs(b, b.B, WIDTH) }
  end,
  soft_triple = function(b) return { b.view(), b.labels, noise(b, b.C * 10, WIDTH) } end,
  subcenter_arcface = function(b) return { b.view(), b.labels, noise(b, b.C * 3, WIDTH) } end,
  skip_gram = function(b)
    local V = b.C * ITEMS
    return { noise(b, V, WIDTH), noise(b, V, WIDTH), row_numbers(b, V, b.B), row_numbers(b, V, b.B),
      row_numbers(b, V, b.B, 5) }
  end,
  nce = function(b)
    return { b.view(), b.labels, noise(b, b.C, WIDTH), row_numbers(b, b.C, b.B, 10),
      crun.full({ b.C }, -math.log(b.C)) }
  end,
  -- B points in sequences of 32
  soft_dtw = function(b)
    local n = math.max(1, b.B // 32)
    return { noise(b, n, 32, 3), noise(b, n, 32, 3) }
  end,
  lmnn = function(b)
    local targets = {}
    for i = 1, b.B do
      local first = (i - 1) // ITEMS * ITEMS
      targets[i] = {}
      for k = 1, 3 do targets[i][k] = first + (i + k - 1) % ITEMS + 1 end
    end
    return { b.view(), b.labels, crun.int(targets) }
  end,
  -- a simplex has room for D + 1 classes
  class_simplex = function(b)
    local C = math.min(math.max(b.C, 2), WIDTH)
    local folded = b.labels:totable()
    for i, label in ipairs(folded) do folded[i] = (label - 1) % C + 1 end
    return { b.view(), crun.int(folded) }, crun.losses.class_simplex { classes = C }
  end,
  magnet = function(b)                              -- two clusters a class
    local classes = {}
    for m = 1, b.C do classes[m] = (m + 1) // 2 end
    return { b.view(), b.labels, crun.int(classes) }
  end,
  cosent = function(b) return { b.view(), b.view(), crun.rand(b.rng, b.B) } end,
  manifold = function(b)
    local proxies = noise(b, 50, WIDTH)
    return { b.view(), row_numbers(b, 50, b.B), proxies }, crun.native.losses.manifold {}
  end,
  dynamic_soft_margin = function(b)
    return { b.view(), b.labels, nil, nil, crun.zeros(200) },
      crun.native.losses.dynamic_soft_margin {}
  end,
  packaged_triplets = function(b)
    local rows = b.B // 3 * 3
    return { b.view():narrow(1, 1, rows):contiguous(), b.labels:narrow(1, 1, rows):contiguous() }
  end,
  pairs_to_triplets = function(b)
    local a, p = crun.arange(1, b.B):int(), crun.arange(1, b.B):int()
    return { a, p, a, p }
  end,
}

-- Inputs of anything else, by the names of its inputs.
local BY_NAME <const> = {
  embeddings = function(b) return b.view() end, x = function(b) return b.view() end,
  y = function(b) return b.view() end, p = function(b) return b.view() end,
  z = function(b) return b.view() end, references = function(b) return b.view() end,
  input = function(b) return noise(b, b.B, WIDTH) end,
  target = function(b) return noise(b, b.B, WIDTH) end,
  labels = function(b) return b.labels end,
  weights = function(b) return noise(b, b.C, WIDTH) end,
}

--- The inputs of the concept described by d, on the batch b; perhaps the criterion as well.
function M.inputs_of(b, d)
  if SPECIAL[d.name] then return SPECIAL[d.name](b) end
  local inputs = {}
  for i, input in ipairs(d.inputs) do
    if input.optional and input.name ~= "labels" then break end
    local make = BY_NAME[input.name]
    if not make then error(("no sample for input '%s'"):format(input.name), 0) end
    inputs[i] = make(b)
  end
  return inputs
end

return M
