local crun = require "crun"
local fs = crun.io

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return text
end

-- a file from a header's text and its elements
local function npy(header, data, version)
  version = version or 1
  return "\x93NUMPY" .. string.char(version, 0) .. string.pack(version == 1 and "<I2" or "<I4", #header) .. header .. (data or "")
end
local function array(descr, shape, data, order)
  return npy(("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n"):format(descr, order or "False", shape), data)
end

describe("npy", function()
  it("keeps every type and shape", function()
    for _, t in ipairs { crun.tensor {{1.5, -2}, {0.25, 1e-30}}, crun.int { math.mininteger, -1, math.maxinteger },
                         crun.byte {{{0, 255}}}, crun.scalar(3.25), crun.zeros(0, 3), crun.zeros(1) } do
      local back = fs.decode_npy(fs.encode_npy(t))
      assert.equal(t:dtype(), back:dtype())
      assert.same(t:shape(), back:shape())
      assert.same(t:numel() > 0 and t:totable() or {}, t:numel() > 0 and back:totable() or {})
    end
  end)
  it("writes views packed, elements on a border of 64 bytes", function()
    local t = crun.int {{1, 2, 3}, {4, 5, 6}}
    local text = fs.encode_npy(t:t())
    assert.same({{1, 4}, {2, 5}, {3, 6}}, fs.decode_npy(text):totable())
    assert.equal(0, (#text - 48) % 64)
    assert.matches("{'descr': '<i8', 'fortran_order': False, 'shape': %(3, 2%), } *\n", text)
    assert.matches("'shape': %(2,%)", fs.encode_npy(crun.zeros(2)))
    assert.matches("'shape': %(%)", fs.encode_npy(crun.scalar(1)))
    assert.same({4, 5, 6}, fs.decode_npy(fs.encode_npy(t[2])):totable())
  end)
  it("reads the other types into the three there are", function()
    local function one(descr, data, n) return fs.decode_npy(array(descr, ("(%d,)"):format(n), data)) end
    assert.same({1, 0.5, -2, 0}, one("<f2", string.pack("<I2I2I2I2", 0x3c00, 0x3800, 0xc000, 0), 4):totable())
    local odd = one("<f2", string.pack("<I2I2I2I2", 0x7c00, 0xfc00, 0x7e00, 0x0001), 4):totable()
    assert.same({1 / 0, -1 / 0}, {odd[1], odd[2]})
    assert.is_true(odd[3] ~= odd[3] and odd[4] == 2.0 ^ -24)
    assert.same({1.5, -3}, one("<f4", string.pack("<ff", 1.5, -3), 2):totable())
    assert.same({1.5, -3}, one("<f8", string.pack("<dd", 1.5, -3), 2):totable())
    assert.same({-1, 127}, one("|i1", string.pack("bb", -1, 127), 2):totable())
    assert.same({-2, 300}, one("<i2", string.pack("<i2i2", -2, 300), 2):totable())
    assert.same({-2, 70000}, one("<i4", string.pack("<i4i4", -2, 70000), 2):totable())
    assert.same({65535}, one("<u2", "\xff\xff", 1):totable())
    assert.same({4294967295}, one("<u4", "\xff\xff\xff\xff", 1):totable())
    local flags = one("|b1", "\0\1\2", 3)
    assert.same({0, 1, 1}, flags:totable())
    assert.equal("uint8", flags:dtype())
  end)
  it("turns column-major arrays around", function()
    local big = (1 << 60) + 1                        -- past 2^53: no detour through a double
    local t = fs.decode_npy(array("<i8", "(2, 3)", string.pack("<i8i8i8i8i8i8", 1, 4, 2, 5, 3, big), "True"))
    assert.same({{1, 2, 3}, {4, 5, big}}, t:totable())
    local cube = fs.decode_npy(array("|u1", "(2, 1, 2)", "\1\2\3\4", "True"))
    assert.same({{{1, 3}}, {{2, 4}}}, cube:totable())
  end)
  it("reads a header however Python lays it out", function()
    local data = string.pack("<i4i4", 7, 8)
    for _, header in ipairs { "{'shape':(2,),'fortran_order':False,'descr':'<i4'}", '{"descr" : "<i4", "fortran_order":True , "shape":( 2 , ) }',
                              "{'descr': '<i4', 'fortran_order': False, 'shape': (2L,), }           \n" } do
      for version = 1, 3 do assert.same({7, 8}, fs.decode_npy(npy(header, data, version)):totable()) end
    end
  end)
  it("refuses every header that lies, by name, before memory is asked for", function()
    local before = crun.memory().peak
    for _, case in ipairs {
      { array("<f4", "(4611686018427387904, 4)"), "more bytes than memory can have" },             -- 2^62 x 4
      { array("<f4", "(9223372036854775808,)"), "past the range of an int64" },                    -- 2^63
      { array("<f4", "(99999999999999999999999,)"), "past the range of an int64" },
      { array("<f4", "(1099511627776,)"), "asks for 4398046511104 bytes of elements, the file has 0" },
      { array("<f4", "(0, 4611686018427387904, 4)"), "more bytes than memory can have" },
      { array("|u1", "(9223372036854775807, 2)"), "more bytes than memory can have" },
      { array("|u1", "(9223372036854775807,)"), "more bytes than memory can have" },
      { array("|u1", "(1152921504606846975,)"), "asks for 1152921504606846975 bytes" },
      { array("<f4", "(-4,)"), "expected a size that is 0 or more in the header, got %-4" },
      { array("<f4", "(2, -1)"), "expected a size that is 0 or more" },
      { array("<f4", "(" .. ("1, "):rep(33) .. ")"), "33 dimensions, at most 8 expected" },
      { array("<f4", "(" .. ("1, "):rep(99) .. ")"), "more than 64 dimensions" },
      { array("<f4", "(2)", "12345678"), "expected ',' behind the only size" },
      { array("<f4", "(2, 2 3)"), "expected ',' or '%)'" },
      { array("<f4", "2"), "expected a shape such as" },
      { array("<f4", "[2]"), "expected a shape such as" },
      { array("<f4", "(2.0,)"), "expected ','" },
      { array("<f4", "(,)"), "expected a size" },
      { array("<f4", "(2,", ""), "expected" },
      { array("<f4", "(0x2,)"), "expected ','" },
      { array("|O", "(1,)", "12345678"), "Python objects %(a pickle%) are never read" },
      { array(">f4", "(1,)", "1234"), "big%-endian" },
      { array("<c8", "(1,)", "12345678"), "complex numbers" },
      { array("<u8", "(1,)", "12345678"), "type '<u8'; expected one of" },
      { array("<f3", "(1,)", "123"), "type '<f3'" },
      { array("", "(1,)"), "type ''" },
      { array("<U5", "(1,)"), "type '<U5'" },
      { npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), "structured type" },
      { npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }"), "expected True or False" },
      { npy("{'descr': '<f4', 'fortran_order': False}"), "the header lacks 'shape'" },
      { npy("{'descr': '<f4', 'shape': (1,)}"), "the header lacks 'fortran_order'" },
      { npy("{}"), "the header lacks 'descr'" },
      { npy(""), "expected '{' in the header, got its end" },
      { npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"), "key 'descr' twice" },
      { npy("{'evil': 1}"), "unknown key 'evil'" },
      { npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)} or exit()"), "expected nothing behind" },
      { npy("__import__('os').system('true')"), "expected '{'" },
      { npy("{'descr': '<f4\\x00', 'fortran_order': False, 'shape': (0,)}"), "short text in quotes" },
      { npy("{'descr': '<f4, 'fortran_order': False, 'shape': (0,)}"), "expected" },
      { npy(("x"):rep(10001), "", 2), "a header of 10001 bytes, at most 10000" },
      { "\x93NUMPY\2\0\xff\xff\xff\xff{}", "a header of 4294967295 bytes" },
      { "\x93NUMPY\4\0\2\0{}", "version 4.0, expected" },
      { "\x93NUMPY\1\1\2\0{}", "version 1.1, expected" },
      { "\x93NUMPX\1\0\2\0{}", "not a npy file" },
      { "", "not a npy file" },
      { array("<f4", "(2,)", "1234567"), "asks for 8 bytes of elements, the file has 7" },
      { array("<f4", "(2,)", "123456789"), "asks for 8 bytes of elements, the file has 9" },
    } do
      assert.matches(case[2], message(fs.decode_npy, case[1]))
    end
    assert.is_true(crun.memory().peak - before < 65536)
  end)
  it("fails wherever a file is cut", function()
    local text = fs.encode_npy(crun.int {{1, 2}, {3, 4}})
    for n = 0, #text - 1 do assert.is_false((pcall(fs.decode_npy, text:sub(1, n)))) end
  end)
  it("names the file", function()
    local path = fs.tmpname()
    fs.write_npy(path, crun.tensor {1, 2})
    assert.same({1, 2}, fs.read_npy(path):totable())
    fs.write_file(path, "no")
    assert.matches("io.read_npy: " .. path .. ": not a npy file", message(fs.read_npy, path), 1, true)
    fs.remove(path)
    assert.matches("the tensor", message(fs.write_npy, path, 3))
  end)
  it("agrees with numpy, where that is installed", function()
    local python = "/usr/bin/python3"
    if not os.execute(python .. " -c 'import numpy' 2>/dev/null") then pending "numpy is not installed" return end
    local dir = fs.tmpdir()
    fs.write_npy(dir .. "/a.npy", crun.tensor {{1.5, 2}, {3, -4}})
    fs.write_npy(dir .. "/b.npy", crun.scalar(2.5))
    fs.write_npy(dir .. "/c.npy", crun.byte {{{1}}, {{2}}})
    fs.write_file(dir .. "/t.py", [==[
import numpy as n, sys
d = sys.argv[1] + '/'
a, b, c = n.load(d + 'a.npy'), n.load(d + 'b.npy'), n.load(d + 'c.npy')
assert a.tolist() == [[1.5, 2], [3, -4]] and b.shape == () and b == 2.5 and c.dtype == n.uint8 and c.shape == (2, 1, 1)
for i, t in enumerate(['f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', '?']):
  n.save(d + 'x%d.npy' % i, n.array([[0, 1, 1], [1, 0, 1]], dtype=t, order='CF'[i % 2]))
n.save(d + 'x11.npy', n.float64(4))
n.lib.format.write_array(open(d + 'x12.npy', 'wb'), n.zeros((2, 0, 3)), version=(3, 0))
]==])
    assert.is_truthy(os.execute(("%s %s/t.py %s"):format(python, dir, dir)))
    for i = 0, 10 do assert.same({{0, 1, 1}, {1, 0, 1}}, fs.read_npy(("%s/x%d.npy"):format(dir, i)):totable()) end
    assert.equal(4, fs.read_npy(dir .. "/x11.npy"):item())
    assert.same({2, 0, 3}, fs.read_npy(dir .. "/x12.npy"):shape())
    fs.remove_tree(dir)
  end)
end)
