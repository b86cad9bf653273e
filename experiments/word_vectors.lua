-- Word vectors by skip-gram with negative sampling, on any text; by default on a made-up language whose relations are known, so that the
-- analogy score (a is to b as c is to which word?) can be checked against chance and against counting.
--
--   crun experiments/word_vectors.lua
--   crun experiments/word_vectors.lua data=book.txt questions=questions-words.txt
--
-- Mikolov, Sutskever, Chen, Corrado, Dean, "Distributed representations of words and phrases and their compositionality", NIPS 2013;
-- Levy, Goldberg, "Neural word embedding as implicit matrix factorization", NIPS 2014 (the counting baseline).
local crun = require "crun"
local study, language = require "crun.study", require "crun.language"

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a text file" },
  questions = { "", help = "a file of analogies, four words a line" },
  sentences = { 2000, least = 10, help = "of the made-up language" },
  least     = { 5, least = 1, help = "times a word must come" },
  dim       = { 40, least = 2, help = "width of the vectors" },
  window    = { 4, least = 1 },
  sample    = { 0.0, least = 0, help = "words more frequent than this share are thinned; 1e-3 for real texts" },
  negatives = { 5, least = 1 },
  power     = { 0.75, least = 0, help = "negatives are drawn by counts to this power" },
  batch     = 2048,
  lr        = 0.01,
  epochs    = { 8, least = 1 },
  seed      = 1,
  seeds     = { 3, least = 1, help = "how many languages and trainings" },
  quick     = false,
}
local run = crun.start(cfg, { name = "word_vectors" })

local results = study.new { run = run, best = { ["analogies right"] = "max" } }
local book, vectors, text
for seed in study.seeds(cfg) do
  text = cfg.data == "generated" and language.generated { seed = seed, sentences = cfg.quick and 1000 or cfg.sentences } or
    text or language.read(cfg.data)
  if cfg.questions ~= "" then text.questions = language.read_questions(cfg.questions) end
  book = language.vocabulary(text.sentences, { least = cfg.least })
  local center, context = language.pairs(book, { window = cfg.window, sample = cfg.sample, seed = seed })
  print(("seed %d: %d words of text, %d different ones, %d pairs"):format(seed, book.tokens, #book.words, #center))
  local model = crun.losses.skip_gram { words = #book.words, dim = cfg.dim, counts = book.counts, negatives = cfg.negatives,
    power = cfg.power, rng = crun.rng(seed, "word_vectors") }
  local batch = math.min(cfg.batch, #center)
  study.fit { modules = model, steps = cfg.epochs * math.max(1, #center // batch), lr = cfg.lr, run = run, name = "seed" .. seed,
    batches = crun.sampler.shuffled { n = #center, batch = batch, drop_last = true, seed = seed },
    loss = function(_, rows) return model(center:index_select(rows), context:index_select(rows)) end }
  vectors = model.input:detach()
  if text.questions then
    local function add(name, z)
      local share, asked = language.analogies(z, book, text.questions)
      if asked == 0 then crun.fail("word_vectors", "the text has all four words of none of the questions", 4) end
      results:add(name, { ["analogies right"] = share })
    end
    add("skip-gram", vectors)
    add("skip-gram, no training", crun.randn(crun.rng(seed), #book.words, cfg.dim))
    if #book.words <= 2000 then add("counting (PPMI)", language.counted(book, center, context, cfg.dim)) end   -- words x words
  end
end
if text.questions then
  results:print(("%d questions"):format(#text.questions))
  for _, q in ipairs(text.questions) do                    -- the first whose words the text has
    local _, asked, answers = language.analogies(vectors, book, { q })
    if asked == 1 then
      print(("  %s is to %s as %s is to %s; it should be %s"):format(q[1], q[2], q[3], answers[1], q[4]))
      break
    end
  end
end
for i = 1, math.min(5, #book.words) do
  local word = book.words[math.max(i, #book.words * i // 10)]           -- the most frequent mean little
  print(("  near %-12s %s"):format(word, table.concat(language.nearest(vectors, book, word, 6), " ")))
end

-- a picture: a family of the made-up language, one class a form; of a real text frequent words, each by its name
local shown, forms, names = {}, {}, { "form 1", "form 2", "form 3", "form 4" }
for i, notion in ipairs(text.families and text.families[1].word or {}) do
  for form, word in ipairs(notion) do
    if book.number[word] then shown[#shown + 1], forms[#forms + 1] = book.number[word], form end
  end
end
for i = 1, text.families and 0 or math.min(20, #book.words) do shown[i], forms[i], names[i] = i, i, book.words[i] end
if #shown > 2 then
  local z = vectors:index_select(crun.int(shown)):normalize()
  crun.plot.map { path = run:picture "words", names = names, size = 8, points = crun.pca.fit(z, 2):transform(z), labels = crun.int(forms),
    title = (text.families and "One family of words" or "Frequent words") .. " in two principal components of their vectors" }
end
crun.io.write_safetensors(run.path .. "/vectors.safetensors", { embeddings = vectors })
crun.io.write_file(run.path .. "/words.txt", table.concat(book.words, "\n") .. "\n")
print(("Vectors: %s/vectors.safetensors, words.txt\nPictures: %s/pictures/"):format(run.path, run.path))
run:finish()
