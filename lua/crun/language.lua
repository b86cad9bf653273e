--- Texts for word vectors: a small made-up language whose relations are known, text files, pairs of
-- words, and analogy questions.
--
--     local text = language.generated { seed = 1, sentences = 8000 }    -- or language.read(path)
--     local book = language.vocabulary(text.sentences, { least = 5 })
--     local center, context = language.pairs(book, { window = 4, seed = 1 })
--     local share = language.analogies(vectors, book, text.questions)
--
-- @module crun.language
local crun = require "crun"
local options = require "crun.options"

local M = {}

local EXIT_DATA <const> = 4

-- ---- a made-up language -------------------------------------------------------------------------

local FAMILIES <const>, CONCEPTS <const>, FORMS <const> = 3, 12, 4
local CONCEPT_WORDS <const>, FORM_WORDS <const>, FILLERS <const> = 4, 5, 40

-- `count` different words of two or three syllables
local function coin(rng, count, known)
  local first, second = "b d f g k l m n p r s t v z", "a e i o u"
  local consonants, vowels, words = {}, {}, {}
  for c in first:gmatch "%S" do consonants[#consonants + 1] = c end
  for v in second:gmatch "%S" do vowels[#vowels + 1] = v end
  while #words < count do
    local word = ""
    for _ = 1, 1 + rng:below(2) do
      word = word .. consonants[rng:below(#consonants)] .. vowels[rng:below(#vowels)]
    end
    if not known[word] then
      known[word] = true
      words[#words + 1] = word
    end
  end
  return words
end

--- Sentences of a made-up language. It has three families of notions; a family has 12 notions, and
-- a word for each in 4 forms (as king, queen, kings, queens: one notion has many forms). Around a
-- word stand words that go with its notion, words that go with its form in this family, and words
-- that go with anything. So word(i, a) is to word(i, b) as word(j, a) to word(j, b).
-- opts: seed (1), sentences (8000). Returns { sentences = lists of words, questions = lists { a, b,
-- c, d }: a is to b as c to d, families = { { word = { { forms of a notion } } } } }.
function M.generated(opts)
  local o = options.check("language.generated", opts, { seed = { "integer", 1, least = 0 },
    sentences = { "count", 8000 } })
  local rng, known = crun.rng(o.seed, "language"), {}
  local fillers, families = coin(rng, FILLERS, known), {}
  for f = 1, FAMILIES do
    local family = { word = {}, concept = {}, form = {} }
    for i = 1, CONCEPTS do
      family.word[i], family.concept[i] = coin(rng, FORMS, known), coin(rng, CONCEPT_WORDS, known)
    end
    for j = 1, FORMS do family.form[j] = coin(rng, FORM_WORDS, known) end
    families[f] = family
  end

  local sentences = {}
  for s = 1, o.sentences do
    local family = families[rng:below(FAMILIES)]
    local i, j = rng:below(CONCEPTS), rng:below(FORMS)
    local around = {}
    for k = 1, 3 do
      around[k] = family.concept[i][rng:below(CONCEPT_WORDS)]
      around[3 + k] = family.form[j][rng:below(FORM_WORDS)]
    end
    for k = 7, 8 do around[k] = fillers[math.ceil(FILLERS * rng:uniform() ^ 2 + 1e-9)] end
    rng:shuffle(around)
    table.insert(around, 5, family.word[i][j])
    sentences[s] = around
  end

  local questions = {}
  for _, family in ipairs(families) do
    for i = 1, CONCEPTS do
      for k = 1, CONCEPTS do
        for a = 1, FORMS do
          local b = a % FORMS + 1
          if i ~= k then
            questions[#questions + 1] = { family.word[i][a], family.word[i][b], family.word[k][a],
              family.word[k][b] }
          end
        end
      end
    end
  end
  return { sentences = sentences, questions = questions, families = families }
end

-- ---- text files ---------------------------------------------------------------------------------

local function read_all(path)
  local file, message = io.open(path, "rb")
  if not file then crun.fail("language", message, EXIT_DATA) end
  local text = file:read "a"
  file:close()
  if not text then crun.fail("language", path .. " is not a file that can be read", EXIT_DATA) end
  return text
end

--- The words of a text file, small letters, whatever is not a letter, digit or apostrophe between
-- them (letters beyond ASCII stay as they are). Lines and . ! ? end a sentence. most: words read at
-- most (2000000). Returns { sentences = }.
function M.read(path, most)
  most = most or 2000000
  local sentences, count = {}, 0
  for sentence in read_all(path):lower():gmatch "[^.!?\n]+" do
    local words = {}
    for word in sentence:gmatch "[%w'\128-\255]+" do
      if count == most then break end
      words[#words + 1], count = word, count + 1
    end
    if #words > 1 then sentences[#sentences + 1] = words end
  end
  if #sentences == 0 then
    crun.fail("language", path .. ": expected a text with words, found no two in a sentence",
      EXIT_DATA)
  end
  return { sentences = sentences }
end

--- Analogy questions, a line each: "athens greece oslo norway"; lines that begin with : are
-- headings.
function M.read_questions(path)
  local questions, number = {}, 0
  for line in (read_all(path):lower() .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    local words = {}
    for word in line:gmatch "%S+" do words[#words + 1] = word end
    if #words == 4 then
      questions[#questions + 1] = words
    elseif #words > 0 and not line:find "^%s*:" then
      crun.fail("language", ("%s:%d: expected four words, got %d"):format(path, number, #words),
        EXIT_DATA)
    end
  end
  return questions
end

--- The words that come `least` (5) times or more, most frequent first: { words =, number = word ->
-- row, counts = list, sentences = lists of rows, tokens = how many words they hold }.
function M.vocabulary(sentences, opts)
  local o = options.check("language.vocabulary", opts, { least = { "count", 5 } })
  local count, words, book = {}, {}, { number = {}, counts = {}, sentences = {}, tokens = 0 }
  for _, sentence in ipairs(sentences) do
    for _, word in ipairs(sentence) do count[word] = (count[word] or 0) + 1 end
  end
  for word, n in pairs(count) do
    if n >= o.least then words[#words + 1] = word end
  end
  if #words < 2 then
    local text = "expected two words or more that come %d times, found %d"
    crun.fail("language", text:format(o.least, #words), EXIT_DATA)
  end
  table.sort(words, function(a, b)
    if count[a] ~= count[b] then return count[a] > count[b] end
    return a < b
  end)
  book.words = words
  for i, word in ipairs(words) do book.number[word], book.counts[i] = i, count[word] end
  for s, sentence in ipairs(sentences) do
    local rows = {}
    for _, word in ipairs(sentence) do rows[#rows + 1] = book.number[word] end
    book.sentences[s], book.tokens = rows, book.tokens + #rows
  end
  return book
end

--- Pairs of a word and one near it, int64 [P] each: each word has its own window, 1 .. window (5)
-- words to either side; a word of frequency f is left out with probability 1 - sqrt(sample / f)
-- (sample 0: none is). Mikolov et al., NIPS 2013, section 2.3.
function M.pairs(book, opts)
  local o = options.check("language.pairs", opts, { window = { "count", 5 },
    sample = { "number", 0, least = 0 }, seed = { "integer", 1, least = 0 } })
  local rng, center, context = crun.rng(o.seed, "language.pairs"), {}, {}
  local keep = {}
  for i, n in ipairs(book.counts) do
    keep[i] = o.sample > 0 and math.sqrt(o.sample * book.tokens / n) or 1
  end
  for _, all in ipairs(book.sentences) do
    local sentence = all
    if o.sample > 0 then
      sentence = {}
      for _, row in ipairs(all) do
        if rng:uniform() < keep[row] then sentence[#sentence + 1] = row end
      end
    end
    for at, row in ipairs(sentence) do
      local reach = rng:below(o.window)
      for near = math.max(1, at - reach), math.min(#sentence, at + reach) do
        if near ~= at then center[#center + 1], context[#context + 1] = row, sentence[near] end
      end
    end
  end
  if #center == 0 then
    crun.fail("language", "the text has no two words near each other", EXIT_DATA)
  end
  return crun.int(center), crun.int(context)
end

--- Vectors by counting: the positive pointwise mutual information of words and their neighbours (a
-- table of words x words), its `dim` largest singular directions. Levy, Goldberg, NIPS 2014.
function M.counted(book, center, context, dim)
  local V = #book.words
  local counts = crun.bincount((center - 1) * V + context, { minlength = V * V })
  counts = counts:real():reshape(V, V)
  local expected = counts:sum(2):reshape(V, 1) * counts:sum(1):reshape(1, V) / counts:sum()
  local pmi = (counts / expected:clamp { min = 1e-9 }):clamp { min = 1e-9 }:log():clamp { min = 0 }
  local values, vectors = crun.eigh((pmi + pmi:t()) / 2)
  local k = math.min(dim, V)
  local size = values:narrow(1, 1, k):clamp { min = 0 }:sqrt()
  return vectors:narrow(1, 1, k):t() * size:reshape(1, k)
end

-- ---- what the vectors know ----------------------------------------------------------------------

--- The share of questions a : b = c : d answered by d, the word nearest to b - a + c by the cosine,
-- a, b and c themselves left out; questions with unknown words are skipped. Returns the share, how
-- many were asked, and the answers (words). Mikolov, Yih, Zweig, NAACL 2013.
function M.analogies(vectors, book, questions)
  local _ <close> = crun.no_grad()
  local z, asked = vectors:normalize(), {}
  for _, q in ipairs(questions) do
    local rows = {}
    for i, word in ipairs(q) do rows[i] = book.number[word] end
    if #rows == 4 and rows[1] and rows[2] and rows[3] and rows[4] then asked[#asked + 1] = rows end
  end
  local right, answers = 0, {}
  for first = 1, #asked, 500 do
    local n = math.min(500, #asked - first + 1)
    local q = crun.int(table.move(asked, first, first + n - 1, 1, {}))
    local function column(k) return q:narrow(2, k, 1):contiguous():reshape(n) end
    local function vector(k) return z:index_select(column(k)) end
    local scores = (vector(2) - vector(1) + vector(3)):normalize():matmul(z:t())
    local others = crun.one_hot(column(1), { classes = #z }) + crun.one_hot(column(2),
      { classes = #z }) + crun.one_hot(column(3), { classes = #z })
    local best = (scores - others:real() * 10):argmax { dim = 2 }
    right = right + best:eq(column(4)):real():sum():item()
    for i, row in ipairs(best:totable()) do answers[first + i - 1] = book.words[row] end
  end
  return #asked > 0 and right / #asked or 0, #asked, answers
end

--- The k words nearest to a word, by the cosine.
function M.nearest(vectors, book, word, k)
  local z = vectors:detach():normalize()
  local _, order = crun.metrics.neighbours(z:narrow(1, book.number[word], 1), z,
    { k = math.min(k + 1, #z), distance = "cosine" })
  local words = {}
  for _, row in ipairs(order[1]:totable()) do
    if row ~= book.number[word] and #words < k then words[#words + 1] = book.words[row] end
  end
  return words
end

return M
