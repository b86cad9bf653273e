-- IDX, JPEG, strokes, CIFAR and CSV: what is read, and one clear error for what is not
local crun = require "crun"
local archive, cio = crun.archive, crun.io
local corpus = "tests/fuzz/corpus/"
local function example(name) return cio.read_file(corpus .. name) end

local function refuses(f, cases)
  for bytes, expected in pairs(cases) do
    local ok, message = pcall(f, bytes)
    assert.is_false(ok, expected)
    assert.truthy(message:find(expected, 1, true), message)
  end
end

local function fails_wherever_cut(f, whole)
  for n = 0, #whole - 1 do assert.is_false((pcall(f, whole:sub(1, n)))) end
  assert.is_truthy(f(whole))
end

describe("IDX", function()
  local read = archive.decode_idx
  it("is read in all its types", function()
    local t = read(example "idx/u8")
    assert.equal("uint8", t:dtype())
    assert.same({ { 0, 1, 2 }, { 3, 4, 5 } }, t:totable())
    assert.same({ -1, 300 }, read(example "idx/i16"):totable())
    assert.same({ -7 }, read(example "idx/i32"):totable())
    assert.same({ 1.5, -2 }, read(example "idx/f32"):totable())
    assert.same({ 0.25 }, read(example "idx/f64"):totable())
    assert.equal(crun.precision, read(example "idx/f32"):dtype())
    assert.same({ 0, 28, 28 }, read("\0\0\8\3" .. string.pack(">I4I4I4", 0, 28, 28)):shape())
  end)
  it("is refused when it lies, before memory is asked for", function()
    local huge = string.pack(">I4I4I4", 0xffffffff, 0xffffffff, 0xffffffff)
    refuses(read, {
      [""] = "not an IDX file", ["\0\0\8"] = "not an IDX file", ["\1\0\8\1\0\0\0\1x"] = "not an IDX file",
      ["\0\0\7\1\0\0\0\1x"] = "not an IDX file", ["\0\0\8\0"] = "0 dimensions, expected 1 to 8",
      ["\0\0\8\9" .. ("\0"):rep(36)] = "9 dimensions", ["\0\0\8\2\0\0\0\1"] = "cut short in its sizes",
      ["\0\0\8\1\0\0\0\5abcd"] = "shape [5] needs 5 bytes, the file has 4",
      ["\0\0\8\1\0\0\0\3abcd"] = "shape [3] needs 3 bytes, the file has 4",
      ["\0\0\14\3" .. huge] = "",
      ["\0\0\8\3" .. huge] = "",
    })
    fails_wherever_cut(read, example "idx/i16")
  end)
end)

describe("JPEG", function()
  it("is read in grey and colour, plain and progressive", function()
    assert.same({ 1, 9, 17 }, archive.decode_jpeg(example "jpeg/grey"):shape())
    assert.same({ 3, 16, 16 }, archive.decode_jpeg(example "jpeg/colour"):shape())
    assert.same({ 3, 16, 24 }, archive.decode_jpeg(example "jpeg/progressive"):shape())
    local ramp = archive.decode_jpeg(example "jpeg/grey"):real():mean { dim = 3 }:totable()[1]
    for y = 2, 9 do assert.is_true(math.abs(ramp[y] - ramp[y - 1]) > 10) end      -- a ramp from end to end
  end)
  it("is refused when it is something else, cut or of four inks", function()
    refuses(archive.decode_jpeg, { [""] = "not a JPEG file", ["\x89PNG"] = "not a JPEG file",
      [example "jpeg/cmyk"] = "four colours of ink", ["\xff\xd8\xff\xd9"] = "JPEG: " })
    for _, name in ipairs { "grey", "colour", "progressive" } do
      local whole = example("jpeg/" .. name)
      for n = 0, #whole - 3 do assert.is_false((pcall(archive.decode_jpeg, whole:sub(1, n)))) end
    end
  end)
end)

describe("strokes", function()
  local read = archive.decode_strokes
  it("are points with pen and time", function()
    local t = read(example "strokes/two")
    assert.same({ { 1.5, 2, 0, 1 }, { 2, 3.25, 0, 0 }, { 4, 4, 0, 1 } },
      (function() local x = t:totable() for _, p in ipairs(x) do p[3] = p[3] == 0 and 0 or 0 end return x end)())
    assert.near(0.04, t[2][3], 1e-7)
    assert.same({ 2, 4 }, read(example "strokes/crlf"):shape())
    assert.same({ 2, 4 }, read("START\n1,2,5\nBREAK\n1,2,3\nBREAK"):shape())      -- time steps back, dots
  end)
  it("are refused when empty, cut or no strokes", function()
    refuses(read, {
      [""] = "it is empty", ["hello\n"] = "expected START, got 'hello'",
      ["START\nBREAK\n"] = "stroke 1, ended in line 2, has no points",
      ["START\n1,2,3\nBREAK\nBREAK\n"] = "stroke 2, ended in line 4, has no points",
      ["START\n1,2,3\nBREAK\n"] = "1 points, a drawing needs 2 or more",
      ["START\n"] = "0 points, a drawing needs 2", ["START\n1,2,3\n2,3,4\n"] = "cut short: stroke 1 has no BREAK",
      ["START\n1,2\nBREAK\n"] = "line 2: expected x,y,milliseconds, got '1,2'",
      ["START\n1,2,3,4\nBREAK\n"] = "line 2", ["START\n1,nan,3\nBREAK\n"] = "line 2",
      ["START\n0x1,2,3\nBREAK\n"] = "line 2", ["START\n1e300,2,3\nBREAK\n"] = "line 2",
      ["START\n1, 2,3\nBREAK\n"] = "line 2", ["START\n1,2,3\0\nBREAK\n"] = "line 2 is no line of text",
      ["START\n" .. ("1"):rep(200) .. "\n"] = "line 2 is no line of text",
    })
  end)
end)

describe("CIFAR-10", function()
  it("is read and refused", function()
    local bytes = example "cifar/one"
    local images, labels = archive.decode_cifar(bytes .. "\9" .. ("\7"):rep(3072))
    assert.same({ 2, 3, 32, 32 }, images:shape())
    assert.same({ 4, 10 }, labels:totable())
    assert.equal(255, images[1][1][8][32])
    assert.equal(7, images[2][3][32][32])
    refuses(archive.decode_cifar, { [""] = "0 bytes, expected records of 3073",
      [bytes:sub(2)] = "3072 bytes", [bytes .. "\10" .. ("\7"):rep(3072)] = "record 2 is of class 10" })
  end)
end)

describe("CSV", function()
  local function read(text, label)
    local x, columns, left, texts = archive.decode_csv(text, label)
    return x:totable(), columns, left, texts
  end
  it("is a table of numbers with a column of classes", function()
    local x, columns, left, texts = read("a,b,label\n1,2.5,x\n-3e2,0,\"y, \"\"z\"\"\"\n", "label")
    assert.same({ { 1, 2.5 }, { -300, 0 } }, x)
    assert.same({ "a", "b" }, columns)
    assert.same({}, left)
    assert.same({ "x", 'y, "z"' }, texts)
    assert.same({ "label" }, (select(3, read "a,b,label\n1,2.5,x\n")))
  end)
  it("may have no header, other separators, CRLF, a byte order mark, empty lines", function()
    local x, columns, _, texts = read("1;2\r\n3;4\r\n", 2)
    assert.same({ { 1 }, { 3 } }, x)
    assert.same({ "1" }, columns)
    assert.same({ "2", "4" }, texts)
    assert.same({ { 1, 2 } }, (read "\xef\xbb\xbfx\ty\n1\t2\n\n"))
    assert.same({ { 1, 2 } }, (read "\n\n1,2"))
    assert.same({ { 1, 2 } }, (read "x,y\r1,2\r"))
    assert.same({ "x", "" }, (select(4, read("k,v\nx,1\n,2\n", "k"))))
  end)
  it("is refused when its lines differ or quotes have no end", function()
    refuses(archive.decode_csv, {
      [""] = "CSV: the file is empty", ["\n\n"] = "CSV: the file is empty", ["a,b\n"] = "no line below the header",
      ["a,b\n1\n"] = "line 2 has fewer than the 2 cells", ["a,b\n1,2,3\n"] = "line 2 has more than the 2 cells",
      ['a,"b\n1,2'] = "a quote in line 1, column 2 has no end", ['"a"b,c\n1,2\n'] = "expected a separator behind the quote",
    })
    assert.matches("column 3 does not exist, there are 2", select(2, pcall(archive.decode_csv, "1,2\n", 3)))
  end)
end)

describe("the corpus of the fuzzer", function()
  it("is answered, file by file", function()
    local readers = { gzip = archive.gunzip, idx = archive.decode_idx, jpeg = archive.decode_jpeg,
      strokes = archive.decode_strokes, cifar = archive.decode_cifar, csv = archive.decode_csv }
    local n = 0
    for format, read in pairs(readers) do
      for _, name in ipairs((cio.list(corpus .. format))) do
        local bytes = example(format .. "/" .. name)
        pcall(read, bytes)
        for at = 1, #bytes, math.max(1, #bytes // 40) do      -- and changed in one byte
          pcall(read, bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 0x55) .. bytes:sub(at + 1))
          n = n + 1
        end
      end
    end
    assert.is_true(n > 300)
  end)
end)
