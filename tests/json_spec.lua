local crun = require "crun"
local encode, decode, array, null = crun.io.json_encode, crun.io.json_decode, crun.io.json_array, crun.io.json_null

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok, "expected an error, got " .. tostring(text))
  return (text:gsub("^.-: io%.json_%w+: ", ""))
end

describe("JSON written", function()
  it("has sorted keys, or the given ones first", function()
    local value = { b = 1, a = { true, false }, ["a.b"] = "x", Z = {} }
    assert.equal('{"Z":{},"a":[true,false],"a.b":"x","b":1}', encode(value))
    assert.equal('{"b":1,"Z":{},"a":[true,false],"a.b":"x"}', encode(value, { order = { "b", "none", "Z" } }))
  end)
  it("may be indented, lists of plain values on one line", function()
    assert.equal('{\n  "a": [1, 2],\n  "b": [\n    {\n      "c": []\n    }\n  ],\n  "d": {}\n}',
      encode({ a = { 1, 2 }, b = { { c = array {} } }, d = {} }, { indent = 2 }))
  end)
  it("tells an empty array from an empty object", function()
    assert.equal("{}", encode {})
    assert.equal("[]", encode(array {}))
    assert.equal("[]", encode(array()))
    assert.equal('{"a":[],"o":{}}', encode(decode '{"o":{}, "a":[]}'))
    assert.equal("[1]", encode(array { 1 }))
  end)
  it("keeps integers and floats apart and every bit of a float", function()
    assert.equal("[1,1.0,-0.0,0.1,1e+300,4.94065645841247e-324,9007199254740993,-9223372036854775808]",
      encode { 1, 1.0, -0.0, 0.1, 1e300, 5e-324, 9007199254740993, math.mininteger })
    math.randomseed(3)
    for _ = 1, 2000 do
      local x = string.unpack("d", string.pack("j", math.random(0)))
      if x == x and x ~= 1 / 0 and x ~= -1 / 0 then
        local back = decode(encode(x))
        assert.is_true(back == x and math.type(back) == "float")
      end
    end
  end)
  it("writes what is no number as the words pandas reads", function()
    assert.equal('["NaN","Infinity","-Infinity"]', encode { 0 / 0, 1 / 0, -1 / 0 })
  end)
  it("escapes what it must and nothing else", function()
    assert.equal([["\"\\\b\f\n\r\t\u0000\u001f/é😀"]], encode "\"\\\b\f\n\r\t\0\31/é😀" .. "")
  end)
  it("keeps null", function()
    assert.equal('[null,1]', encode { null, 1 })
    assert.equal("null", encode(nil))
    assert.equal(null, decode "null")
  end)
  it("refuses what JSON cannot hold, and says where", function()
    assert.equal("JSON cannot hold a function at 'model.layers[2].f'",
      message(encode, { model = { layers = { 1, { f = print } } } }))
    assert.equal("JSON cannot hold a tensor at 'x'", message(encode, { x = crun.zeros(2) }))
    assert.equal("a list with holes", message(encode, { 1, nil, 3 }))
    assert.equal("a list with holes at 'a'", message(encode, { a = { [0] = 1 } }))
    assert.matches("keys must be all strings, or 1, 2, 3", message(encode, { 1, a = 2 }))
    assert.matches("keys must be all strings", message(encode, { [1.5] = 2 }))
    assert.matches("an array with keys that are not", message(encode, array { a = 1 }))
    assert.equal("a string that is not UTF-8 (its byte 2) at 'k'", message(encode, { k = "a\xff" }))
    assert.matches("not UTF%-8", message(encode, { ["\xed\xa0\x80"] = 1 }))
    local loop = {}
    loop[1] = loop
    assert.matches("64 levels deep", message(encode, loop))
    assert.matches("unknown option 'indend'", message(encode, {}, { indend = 2 }))
    assert.matches("indent must be a whole number", message(encode, {}, { indent = -1 }))
    assert.matches("order must be a list of names, got a string", message(encode, {}, { order = "a" }))
  end)
end)

describe("JSON read", function()
  it("gives the value", function()
    assert.same({ a = { 1, 2.5, "x", true, false }, o = { [""] = "" } },
      decode ' { "a" : [ 1 , 2.5,\t"x", true,false ] ,\r\n "o":{"":""} } ')
    assert.same({ 1, -1, 0, 10, 1e5, 1.5e-3 }, decode "[1,-1,0,10,1E5,1.5e-3]")
    assert.equal("integer", math.type(decode "9223372036854775807"))
    assert.equal(math.mininteger, decode "-9223372036854775808")
    assert.equal("float", math.type(decode "9223372036854775808"))
    assert.equal("float", math.type(decode "1.0"))
  end)
  it("undoes escapes", function()
    assert.equal("\"\\/\b\f\n\r\t\0é€😀", decode [["\"\\\/\b\f\n\r\t\u0000\u00e9\u20AC\ud83d\ude00"]])
  end)
  it("goes 64 levels deep and no further", function()
    assert.is_table(decode(("["):rep(64) .. ("]"):rep(64)))
    assert.equal("line 1, column 65: more than 64 levels deep", message(decode, ("["):rep(65) .. ("]"):rep(65)))
    assert.matches("64 levels", message(decode, ("["):rep(1000000)))
    local deep = 1
    for _ = 1, 64 do deep = { deep } end
    assert.same(deep, decode(encode(deep)))
  end)
  it("says line, column and what was expected", function()
    for text, expected in pairs {
      [""] = "line 1, column 1: expected a value, but the text ends",
      ["{\n  \"é\": 1,\n}"] = "line 3, column 1: expected a key in quotes, got '}'",
      ['{"é" 1}'] = "line 1, column 6: expected ':' behind the key, got '1'",
      ["[1 2]"] = "line 1, column 4: expected ',' or ']', got '2'",
      ["[1,]"] = "line 1, column 4: expected a value, got ']'",
      ["{} {}"] = "line 1, column 4: expected the end of the text, got '{'",
      ["[1}"] = "line 1, column 3: expected ',' or ']', got '}'",
      ["]"] = "line 1, column 1: expected a value, got ']'",
      ["nul"] = "line 1, column 1: expected a value, got 'n'",
      ["NaN"] = "line 1, column 1: expected a value, got 'N'",
      ["'a'"] = "line 1, column 1: expected a value, got '''",
      ["// x"] = "line 1, column 1: expected a value, got '/'",
      ["01"] = "line 1, column 1: a number with a leading zero",
      ["1."] = "line 1, column 2: a decimal point without digits behind it",
      [".5"] = "line 1, column 1: expected a value, got '.'",
      ["+1"] = "line 1, column 1: expected a value, got '+'",
      ["-"] = "line 1, column 1: a minus sign without a number",
      ["1e"] = "line 1, column 3: an exponent without digits",
      ["1e999"] = "line 1, column 1: a number past the range of a double",
      ['"a'] = "line 1, column 1: a string without its closing quote",
      ['"a\nb"'] = "line 1, column 3: control character 0x0a in a string: write it as \\u000a",
      ['"\\x"'] = "line 1, column 2: an escape that JSON does not have",
      ['"\\ud800"'] = "line 1, column 2: an escape that JSON does not have",
      ['"\\udc00"'] = "line 1, column 2: an escape that JSON does not have",
      ['"\\u12g4"'] = "line 1, column 2: an escape that JSON does not have",
      ['"\xff"'] = "line 1, column 2: not UTF-8",
      ['"\xc0\x80"'] = "line 1, column 2: not UTF-8",
      ['{"a":1,"b":2,"a":3}'] = "line 1, column 14: the key 'a' twice in one object",
      ["\xef\xbb\xbf{}"] = "line 1, column 1: expected a value, got byte 0xef",
      [("1"):rep(401)] = "line 1, column 1: a number of more than 400 characters",
    } do
      assert.equal(expected, message(decode, text))
    end
    assert.equal("run.json: line 1, column 2: expected a key in quotes, but the text ends", message(decode, "{", "run.json"))
  end)
  it("fails wherever a text is cut", function()
    local text = [[{"a":[1,-2.5e3,true,null,"x\u00e9\ud83d\ude00é"],"b":{}}]]
    assert.is_table(decode(text))
    for n = 0, #text - 1 do assert.is_false((pcall(decode, text:sub(1, n)))) end
  end)
  it("never does more than fail on damaged text", function()
    local text = [[{"a":[1,-2.5e3,true,null,"x\u00e9\ud83d\ude00é"],"b":{"c":[[],{}]}}]]
    math.randomseed(4)
    for _ = 1, 20000 do
      local at = math.random(#text)
      pcall(decode, text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + math.random(0, 2)))
    end
  end)
end)
