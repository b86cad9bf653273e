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

-- Counting: the positive pointwise mutual information of words and their neighbours, its largest singular directions.
local function by_counting(book, center, context)
  local V = #book.words
  local counts = crun.bincount((center - 1) * V + context, { minlength = V * V }):real():reshape(V, V)
  local expected = counts:sum(2):reshape(V, 1) * counts:sum(1):reshape(1, V) / counts:sum()
  local pmi = (counts / expected:clamp { min = 1e-9 }):clamp { min = 1e-9 }:log():clamp { min = 0 }
  local values, vectors = crun.eigh((pmi + pmi:t()) / 2)
  local k = math.min(cfg.dim, V)
  return vectors:narrow(1, 1, k):t() * values:narrow(1, 1, k):clamp { min = 0 }:sqrt():reshape(1, k)
end

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
    local share, asked = language.analogies(vectors, book, text.questions)
    if asked == 0 then crun.fail("word_vectors", "the text has all four words of none of the questions", 4) end
    results:add("skip-gram", { ["analogies right"] = share })
    results:add("skip-gram, no training", { ["analogies right"] = (language.analogies(crun.randn(crun.rng(seed), #book.words, cfg.dim), book,
      text.questions)) })
    if #book.words <= 2000 then                            -- its table is words x words
      results:add("counting (PPMI)", { ["analogies right"] = (language.analogies(by_counting(book, center, context), book, text.questions)) })
    end
  end
end
if text.questions then
  results:print(("%d questions"):format(#text.questions))
  local q = text.questions[1]
  local _, _, answers = language.analogies(vectors, book, { q })
  print(("  %s is to %s as %s is to %s; it should be %s"):format(q[1], q[2], q[3], answers[1] or "?", q[4]))
end
for i = 1, math.min(5, #book.words) do
  local word = book.words[math.min(#book.words, i * 7)]
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
local z = vectors:index_select(crun.int(shown)):normalize()
crun.plot.map { path = run:picture "words", title = "Words in two principal components of their vectors", names = names, size = 8,
  points = crun.pca.fit(z, 2):transform(z), labels = crun.int(forms) }
crun.io.write_safetensors(run.path .. "/vectors.safetensors", { embeddings = vectors })
crun.io.write_file(run.path .. "/words.txt", table.concat(book.words, "\n") .. "\n")
print(("Vectors: %s/vectors.safetensors, words.txt\nPictures: %s/pictures/"):format(run.path, run.path))
run:finish()
