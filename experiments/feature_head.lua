-- Trains a projection on embeddings made elsewhere: the head of a network, without the network. Features come as npy, safetensors or
-- CSV from any framework; classes are split, so that the head is judged on classes it has not seen; the projected features are written.
--
--   crun experiments/feature_head.lua data=features.safetensors                    tensors "embeddings" and "labels"
--   crun experiments/feature_head.lua data=features.npy labels=labels.npy loss=proxy_anchor
--   crun experiments/feature_head.lua data=features.csv labels=class loss=triplet loss.margin=0.1 loss.mine=semihard
--   crun experiments/feature_head.lua                                              on features of generated characters
--
-- Any loss of `crun help loss` that takes embeddings and labels; loss.OPTION=VALUE gives its options.
local crun = require "crun"
local heads = require "crun.study.heads"

local loss, arguments = heads.take_loss_options(crun.args)        -- loss.margin=0.1 and the like are the loss's own
crun.args = arguments
local cfg = crun.config {
  data   = { "generated", help = "'generated', or a file of features: .npy, .safetensors, .csv" },
  labels = { "", help = "of npy: the file of labels; of safetensors: the tensor (labels); of CSV: the column (label)" },
  loss   = { "supcon", help = "its name; loss.OPTION=VALUE sets its options" },
  width  = { 64, least = 1, help = "of the projection" },
  hidden = { 0, least = 0, help = "units of a layer between; 0: a linear map" },
  split  = { "classes", choices = { "classes", "rows" }, help = "what training and test do not share" },
  test   = { 0.5, help = "share of the classes (rows) to test on" },
  batch  = { classes = 16, rows = 4 },
  lr     = 1e-3,
  steps  = { 300, least = 1 },
  weight_decay = 1e-4,
  seed   = 1,
  seeds  = { 3, least = 1, help = "how many splits and trainings" },
  out    = { "", help = "where to write all rows projected (.npy or .safetensors); default: projected.safetensors in the run's folder" },
  quick  = false,
}
local study = require "crun.study"
local run = crun.start(cfg, { name = "feature_head" })
local set = heads.load(cfg)
for key, value in pairs(loss) do run:summary { ["loss." .. key] = value } end
print(("%d rows of %d features, %d classes; %s"):format(#set.x, set.x:size(2), #set.names, heads.describe(cfg.loss, loss)))

local best = { ["precision@1"] = "max", ["map@r"] = "max", ["recall@8"] = "max", auc = "max", eer = "min" }
local keys = { "precision@1", "map@r", "recall@8", "auc", "eer" }
local results = study.new { run = run, best = best }
local head, first
for seed in study.seeds(cfg) do
  local train, test = heads.split(set, cfg, seed)
  local one = heads.train(train, cfg, loss, seed, run)
  head = head or one
  run:test(function()
    local before, after = test.x, one(test.x)
    results:add("before", heads.scores(before, test.labels), keys)
    results:add("before, cosine", heads.scores(before:normalize(), test.labels), keys)
    results:add("after", heads.scores(after, test.labels), keys)
    first = first or { before = before, after = after, labels = test.labels }
  end)
end

if first then
  results:print(cfg.split == "classes" and "classes not trained on" or "rows not trained on")
  for _, key in ipairs(keys) do
    local d = results:difference("after", results:winner(key) == "before" and "before" or "before, cosine", key)
    print(("  %-12s %s  %s"):format(key, study.text(d), study.verdict(d, best[key])))
  end
  heads.picture(run, first)
end
-- all rows through the head of the first split
local path = cfg.out ~= "" and cfg.out or run.path .. "/projected.safetensors"
heads.write(path, head(set.x), set)
print(("Projected rows: %s\nPictures: %s/pictures/"):format(path, run.path))
run:finish()
