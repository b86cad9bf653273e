-- The experiments on digits, characters, strokes, words and features: each in its quick form; and
-- what they share: crun.study, crun.language.
local crun = require "crun"
local study = require "crun.study"
local language = require "crun.language"
local binary = os.getenv "CRUN" or "./crun"

-- what it printed, but for the name of its folder; whether it ended well; how many pictures it drew
local function output_of(script, settings)
  local out = crun.io.tmpdir()
  local command = "%s experiments/%s.lua quick=true %s --out '%s' --progress none 2>&1"
  local pipe = assert(io.popen(command:format(binary, script, settings or "", out)))
  local text = pipe:read "a"
  local ok = pipe:close()
  local pictures = {}
  for _, name in ipairs((crun.io.list(out))) do
    local folder = out .. "/" .. name .. "/pictures"
    if crun.io.is_dir(folder) then pictures = crun.io.list(folder) end
  end
  crun.io.remove_tree(out)
  text = text:gsub(out:gsub("%p", "%%%0") .. "/[^/\n]*", "FOLDER")
  return text, ok, #pictures
end

describe("the experiment", function()
  for script, word in pairs {
    supcon_digits = "SupCon, linear probe", npair_omniglot = "prototypes",
    lmnn_digits = "LMNN less Euclid", magnet_digits = "Magnet less softmax",
    pen_strokes = "encoder less DTW", word_vectors = "analogies right",
    omniglot_one_shot = "modified Hausdorff", feature_head = "Projected rows",
  } do
    it(script .. " runs in its quick form, draws pictures, and says the same on one thread", function()
      local text, ok, pictures = output_of(script, "--threads 2")
      assert.is_true(ok, text)
      assert.truthy(text:find(word, 1, true), text)
      assert.is_true(pictures > 0, "no pictures")
      assert.equal(text, (output_of(script, "--threads 1")))
    end)
  end

  it("feature_head reads npy and CSV, takes a loss's options, writes what it projected", function()
    local folder = crun.io.tmpdir()
    local x, y = crun.randn(crun.rng(1), 60, 8), {}
    for i = 1, 60 do y[i] = i % 10 end
    crun.io.write_npy(folder .. "/x.npy", x)
    crun.io.write_npy(folder .. "/y.npy", crun.int(y))
    local text, ok = output_of("feature_head", (("data=DIR/x.npy labels=DIR/y.npy loss=triplet " ..
      "loss.margin=0.1 width=4 batch.classes=4 seeds=1 out=DIR/z.npy"):gsub("DIR", folder)))
    assert.is_true(ok, text)
    assert.truthy(text:find("loss triplet, margin 0.1", 1, true), text)
    assert.same({ 60, 4 }, crun.io.read_npy(folder .. "/z.npy"):shape())
    local lines = { "a,b,kind" }
    for i = 1, 40 do lines[i + 1] = ("%g,%g,k%d"):format(x[i][1], x[i][2], i % 5) end
    crun.io.write_file(folder .. "/x.csv", table.concat(lines, "\n") .. "\n")
    text, ok = output_of("feature_head",
      ("data=%s/x.csv labels=kind loss=arcface width=2 seeds=1"):format(folder))
    assert.is_true(ok, text)
    assert.truthy(text:find("40 rows of 2 features, 5 classes", 1, true), text)
    text, ok = output_of("feature_head", ("data=%s/x.npy"):format(folder))
    assert.is_falsy(ok)
    assert.truthy(text:find("has no labels", 1, true), text)
    text, ok = output_of("feature_head", "loss=tripelt")
    assert.is_falsy(ok)
    assert.truthy(text:find("there is no loss 'tripelt'", 1, true), text)
    crun.io.remove_tree(folder)
  end)
end)

describe("study", function()
  it("gives intervals, differences and verdicts", function()
    local s = study.new { best = { e = "min" } }
    for i = 1, 3 do
      s:add("a", { e = 0.1 * i })
      s:add("b", { e = 0.1 * i + 0.05 + 0.001 * i })
    end
    assert.near(0.2, s:mean("a", "e"), 1e-12)
    assert.near(4.302653 * 0.1 / math.sqrt(3), s:interval("a", "e").half, 1e-6)
    local d = s:difference("b", "a", "e")
    assert.near(0.052, d.mean, 1e-12)
    assert.equal("worse", study.verdict(d, "min"))
    assert.equal("better", study.verdict(d, "max"))
    assert.equal("no difference shown", study.verdict(s:difference("a", "a", "e"), "min"))
    assert.equal("a", (s:winner "e"))
    assert.equal("0.500", study.text(study.interval { 0.5 }))
  end)

  it("puts points evenly between those of a sequence", function()
    local points = crun.tensor { { { 0, 0, 1 }, { 1, 0, 0 }, { 1, 2, 0 } },
                                 { { 5, 5, 1 }, { 7, 5, 0 }, { 0, 0, 0 } } }
    local x = study.resampled(points, crun.int { 3, 2 }, 5)
    assert.same({ { 0, 0 }, { 0.5, 0 }, { 1, 0 }, { 1, 1 }, { 1, 2 } }, x[1]:totable())
    assert.same({ { 5, 5 }, { 5.5, 5 }, { 6, 5 }, { 6.5, 5 }, { 7, 5 } }, x[2]:totable())
    local one = study.resampled(points, crun.int { 1, 1 }, 3)          -- a dot stays a dot
    assert.same({ { 5, 5 }, { 5, 5 }, { 5, 5 } }, one[2]:totable())
  end)

  it("trains what it is given", function()
    local w = crun.zeros(2):requires_grad_()
    study.fit { modules = { w }, steps = 200, lr = 0.1,
      loss = function() return (w - 3):square():sum() end }
    assert.near(3, w[1], 0.05)
  end)
end)

describe("study.digits", function()
  it("gives other writers, or disjoint parts of MNIST, by the seed", function()
    local digits = require "crun.study.digits"
    local cfg = { data = "generated", writers = { train = 3, test = 2 } }
    local train, test = digits.load(cfg, 1)
    assert.same({ 30, 20 }, { #train.labels, #test.labels })
    assert.same({ 1, 10 }, { train.labels:amin():item(), train.labels:amax():item() })
    assert.is_false(crun.allclose(train.images:real(), digits.load(cfg, 2).images:real()))

    local folder, pixels, labels = crun.io.tmpdir(), {}, {}       -- image i has the grey i
    for i = 1, 30 do pixels[i], labels[i] = string.char(i):rep(4), string.char(i % 10) end
    crun.io.write_file(folder .. "/t10k-images-idx3-ubyte",
      string.pack(">I4I4I4I4", 0x803, 30, 2, 2) .. table.concat(pixels))
    crun.io.write_file(folder .. "/t10k-labels-idx1-ubyte",
      string.pack(">I4I4", 0x801, 30) .. table.concat(labels))
    train, test = digits.load({ data = folder, train = 100 }, 1)
    crun.io.remove_tree(folder)
    local seen = {}
    for _, part in ipairs { train, test } do
      for i, image in ipairs(part.images:totable()) do
        local grey = image[1][1][1]
        assert.equal(grey % 10 + 1, part.labels[i])
        assert.is_nil(seen[grey])
        seen[grey] = true
      end
    end
    assert.same({ 20, 10 }, { #train.labels, #test.labels })
  end)
end)

describe("language", function()
  it("makes texts whose relations are known", function()
    local one, two = language.generated { sentences = 50 }, language.generated { sentences = 50 }
    assert.same(one, two)
    assert.equal(50, #one.sentences)
    assert.equal(3 * 12 * 11 * 4, #one.questions)
  end)

  it("counts words and takes pairs within the window", function()
    local book = language.vocabulary({ { "a", "b", "a" }, { "b", "a", "c" } }, { least = 2 })
    assert.same({ "a", "b" }, book.words)
    assert.same({ 3, 2 }, book.counts)
    assert.equal(5, book.tokens)
    local center, context = language.pairs(book, { window = 1 })
    assert.same({ 1, 2, 2, 1, 2, 1 }, center:totable())
    assert.same({ 2, 1, 1, 2, 1, 2 }, context:totable())
  end)

  it("answers analogies from vectors that hold them", function()
    local book = language.vocabulary({ { "man", "woman", "king", "queen", "tree" } }, { least = 1 })
    local at, rows = { man = { 1, 0, 0 }, woman = { 1, 1, 0 }, king = { 1, 0, 1 },
      queen = { 1, 1, 1 }, tree = { -1, 0, 0 } }, {}
    for i, word in ipairs(book.words) do rows[i] = at[word] end
    local share, asked, answers = language.analogies(crun.tensor(rows), book,
      { { "man", "woman", "king", "queen" }, { "man", "woman", "king", "nobody" } })
    assert.same({ 1, 1, "queen" }, { share, asked, answers[1] })
  end)

  it("reads texts and questions, and says what is wrong with them", function()
    local path = crun.io.tmpname()
    crun.io.write_file(path, "The cat sat. The dog, too!\n\nEnd")
    assert.same({ { "the", "cat", "sat" }, { "the", "dog", "too" } }, language.read(path).sentences)
    crun.io.write_file(path, "")
    assert.has_error(function() language.read(path) end)
    crun.io.write_file(path, ": capitals\nathens greece oslo norway\n")
    assert.same({ { "athens", "greece", "oslo", "norway" } }, language.read_questions(path))
    crun.io.write_file(path, "athens greece oslo\n")
    local ok, message = pcall(language.read_questions, path)
    assert.is_false(ok)
    message = tostring(message)
    assert.truthy(message:find(":1: expected four words, got 3", 1, true), message)
    crun.io.remove(path)
  end)
end)
