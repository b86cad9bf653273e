-- Verification of faces by a siamese network: are two pictures of one person? The four contrastive losses, on people the
-- network has never seen; false rejects at fixed false accepts, as the papers of 2005 and 2006 report them.
--
--   crun experiments/siamese_faces.lua
--   crun experiments/siamese_faces.lua data=path/to/faces       one folder per person
--
-- Few people are soon learnt by heart, each time in another way. So a loss trains several networks, alike but for their first
-- weights and their batches, and the distance of two pictures is that of their embeddings side by side ("together").
--
-- Chopra, Hadsell, LeCun, "Learning a similarity metric discriminatively, with application to face verification", CVPR
-- 2005; Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006.
local crun = require "crun"
local study, faces = require "crun.study", require "crun.study.faces"

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with one folder per person (PGM, PNG or JPEG)" },
  share     = { 0.5, help = "of a folder's people train, in the order of their names (s2 before s10); the others test" },
  size      = { 48, least = 16, help = "height and width of the images" },
  people    = { train = 60, test = 20 },                    -- of the generated faces
  images    = { 10, least = 2, help = "generated images of a person" },
  widths    = { 16, 32, 64, 128 },
  embedding = { 256, least = 2 },
  batch     = { people = 32, images = 2 },                  -- at most; every pair of them counts
  losses    = { { "seed", "hadsell", "pml", "chopra2005" }, help = "variants of the contrastive loss" },
  margin    = { 1.4, help = "seed, hadsell, pml; embeddings have length 1: at 1.41 they are at a right angle, at 2 opposite" },
  Q         = { 2.0, help = "chopra2005: the largest distance" },
  augment   = { flip = 0.5, shift = 0.06, scale = 0.15, rotation = 12.0, brightness = 0.2, contrast = 0.5 },
  lr        = { 3e-4, help = "at its height: warm-up, then a cosine to 0" },
  steps     = { 300, least = 1 },
  networks  = { 3, least = 1, help = "trained by each loss, whose embeddings stand side by side" },
  views     = { 10, least = 1, most = 10, help = "of a test image, that share its embedding" },
  accepts   = { { 10.0, 7.5, 5.0 }, help = "false accepts, %, at which false rejects are reported" },
  seed      = 1,
  seeds     = { 3, least = 1, help = "how many trainings of each" },
  quick     = false,
}
local run = crun.start(cfg, { name = "siamese_faces" })
local train, test = faces.load(cfg)
local rates = crun.tensor(cfg.accepts) / 100
local keys = { "EER %" }
for i, fa in ipairs(cfg.accepts) do keys[i + 1] = ("FR %% at FA %g %%"):format(fa) end

local function contrastive(variant)
  return crun.losses.contrastive { variant = variant, margin = cfg.margin, neg_margin = cfg.margin, Q = cfg.Q,
    reduction = "mean" }
end

local function embed(net) return faces.embed(net, test.images, train, cfg.quick and 1 or cfg.views) end

local best = {}
for _, key in ipairs(keys) do best[key] = "min" end
local results = study.new { run = run, best = best, digits = 1 }
local curves, pairs_of = {}, {}
local function score(name, z, alone)
  local verification, curve = crun.eval.verification(z, test.labels)
  local same, different = crun.eval.distances(z, test.labels)
  local refused = crun.metrics.fnmr_at_fmr(crun.cat({ same, different }, 1), crun.cat({ same * 0 + 1, different * 0 }, 1), rates)
  local scores = { [keys[1]] = 100 * verification.eer }
  for i = 1, #cfg.accepts do scores[keys[i + 1]] = 100 * refused[i] end
  results:add(name, scores, keys)
  if not pairs_of[name] and not alone then                  -- pictures are of the first seed
    curves[#curves + 1] = { name = name, fpr = curve.fpr, tpr = curve.tpr }
    pairs_of[name] = { same = same, different = different, threshold = verification.eer_threshold }
  end
end

run:test(function()
  local function flat(set) return set.images:real():reshape(#set.images, -1) / 255 end
  score("raw pixels", flat(test))
  score("eigenfaces", crun.pca.fit(flat(train), math.min(50, #train.images - 1)):transform(flat(test)))
end)
local networks, names = cfg.quick and 2 or cfg.networks, {}
for i, variant in ipairs(cfg.losses) do names[i] = networks > 1 and variant .. ", together" or variant end
for seed in study.seeds(cfg) do
  for l, variant in ipairs(cfg.losses) do
    local nets = {}
    for i = 1, networks do
      nets[i] = faces.trained(train, contrastive(variant), cfg, seed * networks + i, { run = run,
        name = ("%s%d.%d"):format(variant, seed, i) })
    end
    run:test(function()
      for i, net in ipairs(nets) do nets[i] = embed(net) end
      if networks > 1 then score(variant, nets[1], true) end
      score(names[l], crun.cat(nets, 2):normalize())
    end)
  end
end
results:print(("%d new people"):format(test.people))
local champion = results:winner(keys[1])
for _, name in ipairs(names) do
  if name ~= champion and results.values[champion][keys[1]][2] then
    local d = results:difference(name, champion, keys[1])
    print(("EER of %s less that of %s: %s (%s)"):format(name, champion, study.text(d, 1), study.verdict(d, "min")))
  end
end

crun.plot.roc { path = run:picture "roc", title = "Pairs of new people", series = curves, log = true, least = 1e-3 }
local shown = pairs_of[champion]
crun.plot.histogram { path = run:picture "distances", title = "Distances of pairs of new people, " .. champion, xlabel = "distance",
  series = { { name = "same person", values = shown.same }, { name = "different people", values = shown.different } },
  lines = { { at = shown.threshold, name = "equal errors" } } }
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
