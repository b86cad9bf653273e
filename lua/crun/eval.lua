--- Scores of embeddings on data the network has not been trained on.
--
--     local z = eval.embed(net, test.images)
--     local scores = eval.retrieval(z, test.labels)           --> { ["recall@1"] = 0.93, ["map@r"] = 0.71, ... }
--     run:log(scores, "val/")
--
-- Row i is never its own neighbour. Definitions and edge cases are those of `crun help metrics retrieval` and
-- `crun help metrics verification`.
--
-- @module crun.eval
local crun = require "crun"
local options = require "crun.options"

local M = {}

local function to_batch(images)
  if images:dtype() == "uint8" then return images:real() / 255 end
  return images
end

--- Embeddings of a set, batch by batch, without a graph and in eval mode; the network's mode comes back afterwards.
-- net: a module or any function; images: a tensor whose first dimension counts samples. opts: batch (256); transform: a function of
-- a batch of images, by default bytes / 255 and reals as they are; rows: int64 tensor of row numbers, all when left out.
-- Returns a real tensor [N, D].
function M.embed(net, images, opts)
  local where = "eval.embed"
  options.check_value(where, "net", net, "callable")
  options.check_value(where, "images", images, "tensor")
  local o = options.check(where, opts,
    { batch = { "count", 256 }, transform = { "callable", to_batch }, rows = "tensor?" })
  local N = o.rows and o.rows:numel() or images:size(1)
  if N == 0 then crun.fail(where, "there are no images") end
  local modes = {}                                    -- modules that train, to be set back
  if options.kind(net) == "module" then
    for _, module in ipairs((net:modules())) do
      if module.training then modes[#modes + 1] = module end
    end
    net:eval()
  end
  local back <close> = setmetatable({}, { __close = function()
    for _, module in ipairs(modes) do module.training = true end
  end })
  local _ <close> = crun.no_grad()
  local out
  for first = 1, N, o.batch do
    local n = math.min(o.batch, N - first + 1)
    local z = crun.scope(function()
      local x
      if o.rows then x = images:index_select(1, o.rows:narrow(1, first, n))
      else x = images:narrow(1, first, n) end
      return net(o.transform(x))
    end)
    if z:ndim() ~= 2 or z:size(1) ~= n then
      crun.fail(where, ("net made [%s] of %d images; embeddings are [%d, D]"):format(table.concat(z:shape(), ", "), n, n))
    end
    out = out or crun.zeros(N, z:size(2))
    out:narrow(1, first, n):copy_(z)
    z:release()
  end
  return out
end

-- recall_at_1 -> recall@1, map_at_r -> map@r, precision_at_1_class_average -> precision@1/class
local function shown(name)
  return (name:gsub("_at_", "@"):gsub("_class_average$", "/class"))
end

--- How well the nearest neighbours of a row carry its label. Keys: "precision@1", "r_precision", "map@r", "map", "mrr", "recall@1",
-- "recall@2", "recall@4", "recall@8", each but the recalls also as ".../class" (mean over classes), and "queries", the rows with
-- another of their label: only those count.
-- opts: distance ("euclidean", "cosine", "dot"); k, a list: recall at these as well; references and reference_labels: the set
-- searched, when it is not the rows themselves.
function M.retrieval(embeddings, labels, opts)
  local where = "eval.retrieval"
  options.check_value(where, "embeddings", embeddings, "tensor")
  options.check_value(where, "labels", labels, "tensor")
  local o = options.check(where, opts, {
    distance = { "string", "euclidean" }, k = "numbers?", references = "tensor?", reference_labels = "tensor?",
  })
  local _ <close> = crun.no_grad()
  local _, _, _, _, recall, _, stats = crun.metrics.retrieval(embeddings, labels, o.references, o.reference_labels,
    { distance = o.distance, k = o.k })
  local scores = {}
  for name, value in pairs(stats) do scores[shown(name)] = value end
  for i, k in ipairs(o.k or {}) do scores["recall@" .. k] = recall[i] end
  return scores
end

return M
