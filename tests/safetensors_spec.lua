local crun = require "crun"
local fs = crun.io

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return text
end

local function file(header, data) return string.pack("<I8", #header) .. header .. (data or "") end
local function one(dtype, shape, from, to, data)
  return file(('{"x":{"dtype":"%s","shape":%s,"data_offsets":[%s,%s]}}'):format(dtype, shape, from, to), data)
end

describe("safetensors", function()
  it("keeps tensors and metadata, bit by bit", function()
    local tensors = { w = crun.tensor {{1.5, -2, 0.1}}, ["layer.1/b"] = crun.int { math.mininteger, 7 }, ["é"] = crun.byte {{1}, {255}},
                      scalar = crun.scalar(2.5), none = crun.zeros(0, 4) }
    local text = fs.encode_safetensors(tensors, { step = 12, lr = 0.5, name = "a\n\"b\"", flag = true })
    local back, metadata = fs.decode_safetensors(text)
    for name, t in pairs(tensors) do
      assert.equal(t:dtype(), back[name]:dtype())
      assert.same(t:shape(), back[name]:shape())
      if t:numel() > 0 then assert.same(t:totable(), back[name]:totable()) end
      tensors[name] = nil
      back[name] = nil
    end
    assert.is_nil(next(back))
    assert.same({ step = "12", lr = "0.5", name = "a\n\"b\"", flag = "true" }, metadata)
    back, metadata = fs.decode_safetensors(fs.encode_safetensors {})
    assert.same({ {}, {} }, { back, metadata })
  end)
  it("gives the same bytes for the same content, elements aligned", function()
    local a = { z = crun.byte { 1 }, a = crun.tensor { 1, 2 }, m = crun.int { 3 } }
    local b = { m = crun.int { 3 }, a = crun.tensor { 1, 2 }, z = crun.byte { 1 } }
    local text = fs.encode_safetensors(a, { y = "1", x = "2" })
    assert.equal(text, fs.encode_safetensors(b, { x = "2", y = "1" }))
    local length = string.unpack("<I8", text)
    assert.equal(0, length % 8)
    assert.equal("{", text:sub(9, 9))
    local header = crun.io.json_decode(text:sub(9, 8 + length))
    assert.same({ 16, crun.precision == "float32" and 24 or 32 }, { header.z.data_offsets[1] > 8 and 16 or 0, header.z.data_offsets[2] - 1 + 8 })
    for name, t in pairs(header) do
      if name ~= "__metadata__" then assert.equal(0, t.data_offsets[1] % ({ F32 = 4, F64 = 8, I64 = 8, U8 = 1 })[t.dtype]) end
    end
  end)
  it("writes views packed", function()
    local t = crun.int {{1, 2, 3}, {4, 5, 6}}
    local back = fs.decode_safetensors(fs.encode_safetensors { t = t:t(), row = t[2] })
    assert.same({{1, 4}, {2, 5}, {3, 6}}, back.t:totable())
    assert.same({4, 5, 6}, back.row:totable())
  end)
  it("reads the types of others", function()
    local function x(...) return fs.decode_safetensors(one(...)).x:totable() end
    assert.same({1, -2}, x("F16", "[2]", 0, 4, string.pack("<I2I2", 0x3c00, 0xc000)))
    assert.same({1, -2.5}, x("BF16", "[2]", 0, 4, string.pack("<I2I2", 0x3f80, 0xc020)))
    assert.same({{1.5}}, x("F32", "[1,1]", 0, 4, string.pack("<f", 1.5)))
    assert.same({1.5}, x("F64", "[1]", 0, 8, string.pack("<d", 1.5)))
    assert.same({-5}, x("I32", "[1]", 0, 4, string.pack("<i4", -5)))
    assert.same({-5}, x("I16", "[1]", 0, 2, string.pack("<i2", -5)))
    assert.same({-5}, x("I8", "[1]", 0, 1, string.pack("b", -5)))
    assert.same({60000, 4000000000}, { x("U16", "[1]", 0, 2, "\x60\xea")[1], x("U32", "[1]", 0, 4, string.pack("<I4", 4000000000))[1] })
    assert.same({0, 1}, x("BOOL", "[2]", 0, 2, "\0\5"))
    -- offsets in any order, blanks behind the header
    local back = fs.decode_safetensors(file('{"b":{"data_offsets":[1,2],"shape":[1],"dtype":"U8"},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}  ', "\7\8"))
    assert.same({7, 8}, {back.a:item(), back.b[1]})
  end)
  it("refuses every header that lies, by name, before memory is asked for", function()
    local before = crun.memory().peak
    local x = '"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    for _, case in ipairs {
      { "", "0 bytes, expected a length and a header" },
      { string.pack("<I8", 0) .. "{}", "begins with '{'" },
      { string.pack("<I8", 3) .. "{}", "ends inside its header: 3 bytes expected, 2 left" },
      { string.pack("<I8", 100000001) .. "{}", "a header of 100000001 bytes, at most 100000000" },
      { string.pack("<I8", -1) .. "{}", "a header of 18446744073709551615 bytes" },
      { file(" {}"), "begins with '{'" },
      { file("[]"), "begins with '{'" },
      { file("{} x"), "line 1, column 4: expected the end of the text" },
      { file("{}\0"), "expected the end of the text, got byte 0x00" },
      { file("{}", "x"), "asks for 0 bytes of elements, the file has 1" },
      { file('{"x":1}'), "expected an object with dtype" },
      { file('{"x":{}}'), "dtype, shape and data_offsets once each" },
      { file('{"x":{"dtype":"U8","shape":[1]}}'), "once each" },
      { file('{"x":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', "1"), "once each" },
      { file('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}', "1"), "once each" },
      { one("F128", "[1]", 0, 16, ("x"):rep(16)), "type 'F128', expected one of F16" },
      { one("U64", "[1]", 0, 8, ("x"):rep(8)), "type 'U64'" },
      { one("f32", "[1]", 0, 4, "1234"), "type 'f32'" },
      { one("U8", "[1]", 0, 2, "12"), "type and shape ask for 1 bytes, data_offsets for 2" },
      { one("F32", "[2]", 0, 4, "1234"), "ask for 8 bytes, data_offsets for 4" },
      { one("U8", "[-1]", 0, 1, "1"), "a whole number of 0 or more" },
      { one("U8", "[1.0]", 0, 1, "1"), "a whole number of 0 or more" },
      { one("U8", "[true]", 0, 1, "1"), "a whole number of 0 or more" },
      { one("U8", "1", 0, 1, "1"), "expected an array of whole numbers" },
      { one("U8", "[[1]]", 0, 1, "1"), "a whole number of 0 or more" },
      { one("U8", "[1,1,1,1,1,1,1,1,1]", 0, 1, "1"), "at most 8 numbers" },
      { one("F32", "[4611686018427387904,4]", 0, 0), "more bytes than memory can have" },
      { one("F32", "[4611686018427387904,4,0]", 0, 0), "more bytes than memory can have" },
      { one("U8", "[9223372036854775808]", 0, 0), "a whole number of 0 or more" },
      { one("U8", "[9223372036854775807]", 0, "9223372036854775807"), "more bytes than memory can have" },
      { one("U8", "[1152921504606846975]", 0, "1152921504606846975"), "asks for 1152921504606846975 bytes of elements, the file has 0" },
      { one("U8", "[1099511627776]", 0, "1099511627776"), "asks for 1099511627776 bytes" },
      { one("U8", "[1]", "9223372036854775806", "9223372036854775807", "1"), "begins at byte 9223372036854775806, expected 0: a hole" },
      { one("U8", "[1]", 1, 2, "12"), "'x' begins at byte 1, expected 0: a hole" },
      { one("U8", "[1]", 1, 0, "1"), "data_offsets %[begin, end%]" },
      { one("U8", "[1]", -1, 0, "1"), "a whole number of 0 or more" },
      { one("U8", "[1]", 0, "1,2", "1"), "at most 2 numbers" },
      { one("U8", "[1]", 0, "1e0", "1"), "a whole number of 0 or more" },
      { one("U8", "[2]", 0, 2, "1"), "asks for 2 bytes of elements, the file has 1" },
      { one("U8", "[1]", 0, 1, "12"), "asks for 1 bytes of elements, the file has 2" },
      { file('{' .. x .. ',"y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "1"), "two tensors overlap" },
      { file('{' .. x .. ',"y":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}', "123"), "'y' begins at byte 2, expected 1: a hole" },
      { file('{' .. x .. ',"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', "12"), "the name 'x' twice" },
      { file('{' .. x .. ',"\\u0078":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', "12"), "the name 'x' twice" },
      { file('{"a\\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "1"), "a text with a NUL" },
      { file('{"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "1"), "not UTF%-8" },
      { file('{"__metadata__":{"a":1}}'), "metadata holds nothing else" },
      { file('{"__metadata__":{"a":"1","a":"2"}}'), "the metadata key 'a' twice" },
      { file('{"__metadata__":{},"__metadata__":{}}'), "__metadata__ twice" },
      { file('{"__metadata__":[]}'), "an object of texts" },
      { file(('{"x":'):rep(100)), "expected dtype, shape and data_offsets once each" },
      { file('{"__metadata__":{"a":' .. ("["):rep(100)), "metadata holds nothing else" },
      { file('{' .. x .. ',}', "1"), "expected a key in quotes" },
    } do
      assert.matches(case[2], message(fs.decode_safetensors, case[1]))
    end
    assert.is_true(crun.memory().peak - before < 65536)
  end)
  it("holds 100,000 tensors and not one more", function()
    local parts = {}
    for i = 0, 100000 do parts[#parts + 1] = ('"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'):format(i) end
    assert.matches("more than 100000 tensors", message(fs.decode_safetensors, file("{" .. table.concat(parts, ",") .. "}")))
    parts[#parts] = nil
    assert.same({0}, fs.decode_safetensors(file("{" .. table.concat(parts, ",") .. "}"))["99999"]:shape())
  end)
  it("fails wherever a file is cut", function()
    local text = fs.encode_safetensors({ a = crun.tensor { 1, 2 }, b = crun.byte { 1 } }, { k = "v" })
    for n = 0, #text - 1 do assert.is_false((pcall(fs.decode_safetensors, text:sub(1, n)))) end
  end)
  it("refuses what it cannot write", function()
    assert.matches("'x' must be a tensor, got a number", message(fs.encode_safetensors, { x = 1 }))
    assert.matches("must have strings as names, got a number", message(fs.encode_safetensors, { crun.zeros(1) }))
    assert.matches("cannot have the name '__metadata__'", message(fs.encode_safetensors, { __metadata__ = crun.zeros(1) }))
    assert.matches("a name has a NUL character", message(fs.encode_safetensors, { ["a\0"] = crun.zeros(1) }))
    assert.matches("not UTF%-8", message(fs.encode_safetensors, { ["a\xff"] = crun.zeros(1) }))
    assert.matches("expected a table name = tensor, got a tensor", message(fs.encode_safetensors, crun.zeros(1)))
    assert.matches("metadata 'k' must be a text or a number, got a table", message(fs.encode_safetensors, {}, { k = {} }))
    assert.matches("metadata must be a table", message(fs.encode_safetensors, {}, 3))
  end)
  it("is written all or nothing", function()
    local dir = fs.tmpdir()
    local path = dir .. "/last.safetensors"
    fs.write_safetensors(path, { w = crun.tensor { 1 } }, { step = 1 })
    local sum = fs.sha256_file(path)
    for n = 1, 4 do
      fs.fail_at(n)
      assert.matches("io.write_safetensors: cannot write '.*last.safetensors': No space left", message(fs.write_safetensors, path, { w = crun.tensor { 2 } }))
      fs.fail_at(0)
      assert.equal(sum, fs.sha256_file(path))
      assert.same({ "last.safetensors" }, (fs.list(dir)))
    end
    local tensors, metadata = fs.read_safetensors(path)
    assert.same({ { 1 }, "1" }, { tensors.w:totable(), metadata.step })
    fs.write_file(path, "torn")
    assert.matches("io.read_safetensors: .*last.safetensors: not a safetensors file: 4 bytes", message(fs.read_safetensors, path))
    fs.remove_tree(dir)
  end)
  it("leaks nothing when the n-th allocation fails", function()
    local text = fs.encode_safetensors({ a = crun.zeros(3), b = crun.int { 1 } }, { k = "v" })
    local core = require "crun.core"
    local function live() collectgarbage() collectgarbage() return crun.memory().live end
    local before = live()
    for n = 1, 50 do
      core.fail_at(n)
      local ok = pcall(fs.decode_safetensors, text)
      core.fail_at(0)
      assert.equal(before, live())
      if ok then assert.is_true(n > 3) return end
    end
    error "never succeeded"
  end)
end)
