local crun = require "crun"
local packed = require "packed"
local cio, datasets = crun.io, crun.datasets

local folder
before_each(function() folder = cio.tmpdir() end)
after_each(function() cio.remove_tree(folder) end)

local function put(files) packed.put(folder, files) end
local function refuses(expected, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, expected)
  assert.truthy(message:find(expected, 1, true), message)
end

local function idx_images(n, fill) return "\0\0\8\3" .. string.pack(">I4I4I4", n, 4, 3) ..
  string.char(fill):rep(12 * n) end
local function idx_labels(...) return "\0\0\8\1" .. string.pack(">I4", select("#", ...)) .. string.char(...) end

describe("datasets.mnist", function()
  it("joins what is there, gzipped or not", function()
    put { ["t10k-images-idx3-ubyte.gz"] = packed.gzip(idx_images(2, 7)), ["t10k-labels-idx1-ubyte"] = idx_labels(0, 9) }
    local set = datasets.mnist(folder)
    assert.same({ 2, 1, 4, 3 }, set.images:shape())
    assert.same({ 1, 10 }, set.labels:totable())
    assert.equal("9", set.names[set.labels[2]])
    assert.equal(2, #set)
    assert.equal("2 images of 10 classes, 4 x 3", tostring(set))
    put { ["train-images.idx3-ubyte"] = idx_images(3, 8), ["train-labels.idx1-ubyte"] = idx_labels(1, 2, 3) }
    assert.same({ 2, 3, 4, 1, 10 }, datasets.mnist(folder).labels:totable())
    assert.same({ 2, 3, 4 }, datasets.mnist(folder, { part = "train" }).labels:totable())
    assert.equal(7, datasets.mnist(folder .. "/", { part = "test" }).images[1][1][1][1])
  end)
  it("refuses what does not fit", function()
    local mnist = datasets.mnist
    refuses("there is no folder '" .. folder .. "/none'; expected one with t10k-images", mnist, folder .. "/none")
    refuses("has no t10k-images-idx3-ubyte.gz", mnist, folder)
    refuses("expected the folder of the data set, got nil", mnist)
    put { ["t10k-images-idx3-ubyte"] = idx_images(2, 7) }
    refuses("has no t10k-labels-idx1-ubyte.gz for the images", mnist, folder)
    put { ["t10k-labels-idx1-ubyte"] = idx_labels(1, 2, 3) }
    refuses("t10k-images-idx3-ubyte has 2 images, " .. folder .. "/t10k-labels-idx1-ubyte has 3 labels", mnist, folder)
    put { ["t10k-labels-idx1-ubyte"] = idx_labels(1, 12) }
    refuses("labels must be 0 to 9, got 12", mnist, folder)
    put { ["t10k-labels-idx1-ubyte"] = idx_images(2, 7) }
    refuses("expected labels, uint8 [N], got uint8 [2, 4, 3]", mnist, folder)
    put { ["t10k-labels-idx1-ubyte"] = "hello" }
    refuses("t10k-labels-idx1-ubyte: not an IDX file", mnist, folder)
    put { ["t10k-labels-idx1-ubyte"] = packed.gzip(idx_labels(1, 2)):sub(1, -6) }
    refuses("t10k-labels-idx1-ubyte: gzip: the data are cut short", mnist, folder)
    refuses("unknown option 'pert'; did you mean 'part'?", mnist, folder, { pert = "test" })
    refuses("part must be", mnist, folder, { part = "tset" })
  end)
end)

describe("datasets.pendigits", function()
  it("reads points and one-hot classes", function()
    local line = "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,100,%s\n"
    put { ["pendigits.tra"] = line:format "0000000010" .. line:format "1000000000", ["pendigits.tes"] = line:format "3" }
    local train, test = datasets.pendigits(folder)
    assert.same({ 2, 8, 2 }, train.points:shape())
    assert.same({ 9, 1 }, train.labels:totable())
    assert.same({ 4 }, test.labels:totable())
    assert.same({ 2, 3 }, train.points[1][2]:totable())
    put { ["pendigits.tra"] = line:format "0000000011" }
    refuses("pendigits.tra: line 1: expected a class", datasets.pendigits, folder)
    put { ["pendigits.tra"] = "1,2,3\n" }
    refuses("column 17 does not exist, there are 3", datasets.pendigits, folder)
    put { ["pendigits.tra"] = (line:format "1"):gsub("100", "101") }
    refuses("expected coordinates in 0 to 100, got 0 to 101", datasets.pendigits, folder)
    cio.remove(folder .. "/pendigits.tes")
    put { ["pendigits.tra"] = line:format "1" }
    refuses("has no pendigits.tes", datasets.pendigits, folder)
  end)
end)

-- a small Omniglot: 2 alphabets, 2 characters each, 3 drawers
local function drawing(place)
  local image = crun.full({ 105, 105 }, 255):byte()
  for i = 1, 30 do image[place + i][place] = 0 end
  return cio.encode_png(image)
end

local function small_omniglot(ending, content)
  local members = { { "images/", "" } }
  for _, alphabet in ipairs { "Latin", "Greek" } do
    for character = 1, 2 do
      for drawer = 3, 1, -1 do
        members[#members + 1] = { ("images/%s/character%02d/%04d_%02d.%s"):format(alphabet, character, 100 + character,
          drawer, ending), content(alphabet, character, drawer) }
      end
    end
  end
  members[#members + 1] = { "__MACOSX/images/Latin/character01/0101_01." .. ending, "junk" }
  members[#members + 1] = { "images/.DS_Store", "junk" }
  return members
end

describe("datasets.omniglot", function()
  local members = small_omniglot("png", function(alphabet, character, drawer)
    return drawing(character * 20 + drawer + (alphabet == "Latin" and 30 or 0)) end)
  it("reads a zip or its folder in the order of names, ink bright", function()
    put { ["images_background_small1.zip"] = packed.zip(members) }
    local set = datasets.omniglot(folder)
    assert.same({ 12, 1, 105, 105 }, set.images:shape())
    assert.same({ 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4 }, set.labels:totable())
    assert.same({ "Greek/character01", "Greek/character02", "Latin/character01", "Latin/character02" }, set.names)
    assert.same({ 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3 }, set.drawers:totable())
    assert.same({ "Greek", "Latin" }, set.alphabet_names)
    assert.equal(255, set.images[1][1][30][21])
    assert.equal(0, set.images[1][1][1][1])
    assert.equal("12 images of 4 characters, 105 x 105", tostring(set))
    local archive = crun.archive.open(folder .. "/images_background_small1.zip")
    archive:unpack(folder .. "/t")
    cio.mkdir(folder .. "/images_evaluation")
    cio.rename(folder .. "/t/images", folder .. "/images_evaluation/images")
    local again = datasets.omniglot(folder, { part = "evaluation" })
    assert.is_true(crun.allclose(set.images, again.images, 0, 0))
    local small = datasets.omniglot(folder, { size = 35 })
    assert.same({ 12, 1, 35, 35 }, small.images:shape())
    assert.near(set.images:real():mean():item(), small.images:real():mean():item(), 0.3)
  end)
  it("gives alphabets, rows and splits of characters", function()
    put { ["images_background_small1.zip"] = packed.zip(members) }
    local set = datasets.omniglot(folder, { size = 20 })
    local latin, rest = set:by_alphabet { "Latin" }
    assert.same({ 3, 3, 3, 4, 4, 4 }, latin.labels:totable())
    assert.same({ 2, 2, 2, 2, 2, 2 }, latin.alphabets:totable())
    assert.same({ "Greek/character01", "Greek/character02" }, rest.names)
    refuses("there is no alphabet 'Latn'; did you mean 'Latin'?", set.by_alphabet, set, { "Latn" })
    local parts = set:split { train = 0.5, val = 1, test = "rest" }
    assert.same({ 1, 1, 1, 2, 2, 2 }, parts.train.labels:totable())
    assert.same({ "Latin/character02" }, parts.test.names)
    assert.same({ "Greek/character02" }, parts.train:split({ a = 1, b = "rest" }).b.names)    -- a part of a part
    local rows = set:rows(crun.int { 12, 1 })
    assert.same({ 4, 1 }, rows.labels:totable())
    assert.same({ 3, 1 }, rows.drawers:totable())
  end)
  it("refuses other pictures and missing files", function()
    refuses("has neither images_background_small1.zip nor a folder", datasets.omniglot, folder)
    put { ["images_background_small1.zip"] = packed.zip { { "x.txt", "" } } }
    refuses("has no ALPHABET/characterNN/NNNN_NN.png in it", datasets.omniglot, folder)
    put { ["images_background_small1.zip"] = packed.zip { { "images/A/character01/0001_01.png", "junk" } } }
    refuses("images/A/character01/0001_01.png: not an image", datasets.omniglot, folder)
    put { ["images_background_small1.zip"] = packed.zip { { "images/A/character01/0001_01.png",
      cio.encode_png(crun.zeros(8, 8):byte()) } } }
    refuses("0001_01.png: expected a grey image of 105 x 105, got [1, 8, 8]", datasets.omniglot, folder)
    put { ["images_background_small1.zip"] = packed.zip { { "../A/character01/0001_01.png", "x" } } }
    refuses("images_background_small1.zip: zip: member 1 has a part '..'", datasets.omniglot, folder)
    refuses("part must be", datasets.omniglot, folder, { part = "small" })
  end)
end)

describe("datasets.omniglot_runs", function()
  local function run(labels, more)
    local members = { { "run01/class_labels.txt", labels } }
    for i = 1, 2 do
      members[#members + 1] = { ("run01/training/class%02d.png"):format(i), drawing(10 * i) }
      members[#members + 1] = { ("run01/test/item%02d.png"):format(i), drawing(10 * i + 1) }
    end
    put { ["all_runs.zip"] = packed.zip(members) }
  end
  it("pairs test images with answers", function()
    run "run01/test/item01.png run01/training/class02.png\nrun01/test/item02.png run01/training/class01.png\n"
    local runs = datasets.omniglot_runs(folder, { size = 50 })
    assert.equal(1, #runs)
    assert.equal("run01", runs[1].name)
    assert.same({ 2, 1, 50, 50 }, runs[1].training:shape())
    assert.same({ 2, 1, 50, 50 }, runs[1].test:shape())
    assert.same({ 2, 1 }, runs[1].answers:totable())
  end)
  it("refuses answers that name no image", function()
    run "run01/test/item01.png run01/training/class09.png\n"
    refuses("run01/class_labels.txt, line 1: expected 'TEST.png TRAINING.png'", datasets.omniglot_runs, folder)
    run "run01/test/item09.png run01/training/class01.png\n"
    refuses("run01/test/item09.png is missing", datasets.omniglot_runs, folder)
    run ""
    refuses("run01 has 2 training images and 0 answers", datasets.omniglot_runs, folder)
  end)
end)

describe("datasets.omniglot_strokes", function()
  it("gives points with pen and time, stroke by stroke", function()
    put { ["strokes_background_small1.zip"] = packed.zip(small_omniglot("txt", function(_, character, drawer)
      return ("START\n%d,-%d,0\n5,-6,100\nBREAK\n7,-8,200\nBREAK\n"):format(character, drawer) end)) }
    local set = datasets.omniglot_strokes(folder)
    assert.equal(12, #set)
    assert.same({ 3, 4 }, set.points[5]:shape())
    assert.same({ 2, 2 }, set.points[5]:narrow(2, 1, 2)[1]:totable())
    assert.same({ 1, 0, 1 }, set.points[5]:select(2, 4):totable())
    local strokes = set:strokes(5)
    assert.same({ 2, 3 }, strokes[1]:shape())
    assert.same({ 1, 3 }, strokes[2]:shape())
    assert.same({ 7, 8 }, strokes[2]:narrow(2, 1, 2)[1]:totable())
    local latin = set:by_alphabet { "Latin" }
    assert.equal(6, #latin.points)
    assert.same({ 1, 2 }, latin.points[2]:narrow(2, 1, 2)[1]:totable())
    put { ["strokes_background_small1.zip"] = packed.zip { { "s/A/character01/0001_02.txt", "START\nBREAK\n" } } }
    refuses("s/A/character01/0001_02.txt: strokes: stroke 1, ended in line 2, has no points",
      datasets.omniglot_strokes, folder)
  end)
end)

describe("datasets.lfw and image folders with JPEG", function()
  it("reads people, one picture is enough", function()
    local jpeg = cio.read_file "tests/fuzz/corpus/jpeg/colour"
    put { ["lfw/Ann_Bee/Ann_Bee_0001.jpg"] = jpeg, ["lfw/Cy_Dee/Cy_Dee_0001.jpg"] = jpeg,
      ["lfw/Cy_Dee/Cy_Dee_0002.jpg"] = jpeg }
    local set = datasets.lfw(folder, { size = 8 })
    assert.same({ 3, 1, 8, 8 }, set.images:shape())
    assert.same({ 1, 2, 2 }, set.labels:totable())
    assert.equal(3, set.row_of.Cy_Dee_0002)
    assert.same({ "Cy_Dee" }, datasets.lfw(folder, { least = 2 }).names)
    put { ["lfw/Cy_Dee/Cy_Dee_0002.jpg"] = jpeg:sub(1, 150) }
    refuses("lfw/Cy_Dee/Cy_Dee_0002.jpg: JPEG: ", datasets.lfw, folder)
    refuses("has no NAME/NAME_0001.jpg in it", datasets.lfw, folder .. "/lfw/Ann_Bee")
  end)
end)

describe("datasets.cifar10", function()
  it("reads its batches", function()
    local batch = ("\3" .. ("\9"):rep(3072)):rep(2)
    local files = { ["cifar-10-batches-bin/test_batch.bin"] = "\0" .. ("\1"):rep(3072) }
    for i = 1, 5 do files["cifar-10-batches-bin/data_batch_" .. i .. ".bin"] = batch end
    put(files)
    local set = datasets.cifar10(folder)
    assert.same({ 11, 3, 32, 32 }, set.images:shape())
    assert.equal("cat", set.names[set.labels[10]])
    assert.equal("11 images of 10 classes, 3 x 32 x 32", tostring(set))
    assert.equal(1, #datasets.cifar10(folder, { part = "test" }))
    put { ["cifar-10-batches-bin/data_batch_4.bin"] = batch:sub(2) }
    refuses("data_batch_4.bin: CIFAR-10: 6145 bytes, expected records of 3073", datasets.cifar10, folder)
    cio.remove(folder .. "/cifar-10-batches-bin/data_batch_2.bin")
    refuses("has no data_batch_2.bin", datasets.cifar10, folder)
  end)
end)

describe("datasets.features", function()
  local features = datasets.features
  it("reads CSV with classes as texts, numbers or none", function()
    put { ["a.csv"] = "f1,f2,label\n0.5,2,dog\n1e-3,-4,cat\n0,1,dog\n", ["b.csv"] = "1;2;10\n3;4;9\n",
      ["c.tsv"] = "x\tkind\n1\ta\n" }
    local set = features(folder .. "/a.csv")
    assert.same({ 3, 2 }, set.x:shape())
    assert.same({ 2, 1, 2 }, set.labels:totable())
    assert.same({ "cat", "dog" }, set.names)
    assert.same({ "f1", "f2" }, set.columns)
    assert.same({ { 0.5, 2 } }, set:people({ 2 }).x:narrow(1, 1, 1):totable())
    set = features(folder .. "/b.csv", { labels = 3 })
    assert.same({ 2, 1 }, set.labels:totable())
    assert.same({ "9", "10" }, set.names)
    set = features(folder .. "/b.csv", { labels = false })
    assert.is_nil(set.labels)
    assert.same({ 2, 3 }, set.x:shape())
    assert.same({ "a" }, features(folder .. "/c.tsv").names)
    refuses("has no column 'lable'; did you mean 'label'?", features, folder .. "/a.csv", { labels = "lable" })
    refuses("column 'label' is not numeric; name the column of the classes", features, folder .. "/a.csv", { labels = false })
    put { ["n.csv"] = "a,b\n1,nan\n" }
    refuses("n.csv: the table has values that are NaN or infinite", features, folder .. "/n.csv")
  end)
  it("reads npy and safetensors", function()
    cio.write_npy(folder .. "/x.npy", crun.arange(1, 6):reshape(3, 2))
    cio.write_npy(folder .. "/y.npy", crun.int { 5, 7, 5 })
    cio.write_npy(folder .. "/z.npy", crun.int { 5, 7 })
    local set = features(folder .. "/x.npy", { labels = folder .. "/y.npy" })
    assert.same({ 1, 2, 1 }, set.labels:totable())
    assert.same({ "5", "7" }, set.names)
    assert.is_nil(features(folder .. "/x.npy").labels)
    refuses("3 rows of features and 2 labels", features, folder .. "/x.npy", { labels = folder .. "/z.npy" })
    refuses("the array must be [N, D]", features, folder .. "/y.npy")
    cio.write_safetensors(folder .. "/s.safetensors", { embeddings = crun.ones(2, 3), labels = crun.int { 9, 8 } })
    assert.same({ 2, 1 }, features(folder .. "/s.safetensors").labels:totable())
    cio.write_safetensors(folder .. "/t.safetensors", { a = crun.ones(2, 3), b = crun.ones(2, 3) })
    refuses("name the tensor of the features: x = \"...\"; it has a, b", features, folder .. "/t.safetensors")
    assert.same({ 2, 3 }, features(folder .. "/t.safetensors", { x = "b" }).x:shape())
    refuses("has no tensor 'c'; it has a, b", features, folder .. "/t.safetensors", { x = "c" })
    refuses("there is no file", features, folder .. "/none.npy")
    put { ["x.bin"] = "1" }
    refuses("expected a file named .csv, .tsv, .npy or .safetensors", features, folder .. "/x.bin")
  end)
end)

-- the real sets, where they are
local data = os.getenv "CRUN_DATA" or "../shared/data"
local function real(name, what, f)
  if not cio.is_dir(data .. "/" .. name) then
    return pending(what .. " (no " .. data .. "/" .. name .. ")")
  end
  it(what, function() f(data .. "/" .. name) end)
end

describe("the real data", function()
  real("mnist", "MNIST's test digits", function(at)
    local set = datasets.mnist(at, { part = "test" })
    assert.same({ 10000, 1, 28, 28 }, set.images:shape())
    assert.same({ 980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009 }, crun.bincount(set.labels):totable())
  end)
  real("pendigits", "pen digits", function(at)
    local train, test = datasets.pendigits(at)
    assert.equal(7494, #train)
    assert.equal(3498, #test)
  end)
  real("omniglot", "Omniglot: pictures, runs and strokes agree", function(at)
    local set, strokes = datasets.omniglot(at), datasets.omniglot_strokes(at)
    assert.equal(2720, #set)
    assert.equal(136, #set.names)
    assert.same(set.names, strokes.names)
    assert.is_true(crun.allclose(set.labels, strokes.labels, 0, 0))
    assert.same({ "Balinese", "Early_Aramaic", "Greek", "Korean", "Latin" }, set.alphabet_names)
    local on, all = 0, 0
    for row = 1, 2720, 197 do                                -- the pen runs where the ink is
      for _, p in ipairs(strokes.points[row]:totable()) do
        local y, x = math.max(2, math.min(104, p[2] // 1 + 1)) | 0, math.max(2, math.min(104, p[1] // 1 + 1)) | 0
        local ink = set.images[row][1]:narrow(1, y - 1, 3):narrow(2, x - 1, 3):amax():item()
        on, all = on + (ink == 255 and 1 or 0), all + 1
      end
    end
    assert.is_true(on / all > 0.97, ("%d of %d points on ink"):format(on, all))
    local runs = datasets.omniglot_runs(at, { size = 28 })
    assert.equal(20, #runs)
    for _, run in ipairs(runs) do
      assert.same({ 20, 1, 28, 28 }, run.test:shape())
      local sorted = run.answers:totable()
      table.sort(sorted)
      for i = 1, 20 do assert.equal(i, sorted[i]) end
    end
  end)
end)
