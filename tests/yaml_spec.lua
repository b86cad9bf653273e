local crun = require "crun"
local yaml, null = crun.yaml, crun.io.json_null

local function one(text) return (yaml.decode("x: " .. text)).x end

describe("YAML", function()
  it("reads plain scalars by the core schema of YAML 1.2", function()
    for text, value in pairs { ["1"] = 1, ["-7"] = -7, ["+3"] = 3, ["012"] = 12, ["0o14"] = 12, ["0x1F"] = 31,
        ["1e-3"] = 1e-3, ["1.5"] = 1.5, [".5"] = 0.5, ["5."] = 5.0, ["1E3"] = 1000.0, [".inf"] = math.huge,
        ["-.Inf"] = -math.huge, ["true"] = true, ["False"] = false, ["no"] = "no", ["yes"] = "yes", ["on"] = "on",
        ["1:30"] = "1:30", ["1_000"] = "1_000", ["0b1"] = "0b1", ["1e"] = "1e", ["."] = ".", ["-"] = nil, ["--1"] = "--1",
        ["2026-11-24"] = "2026-11-24", ["'1'"] = "1", ['"true"'] = "true", ["1.2.3"] = "1.2.3", ["tRUE"] = "tRUE" } do
      assert.equal(value, one(text), text)
      assert.equal(math.type(value), math.type(one(text)), text)
    end
    assert.is_true(one(".nan") ~= one(".nan"))
    for _, text in ipairs { "", "~", "null", "Null" } do assert.equal(null, one(text), text) end
    assert.equal(9223372036854775807, one("9223372036854775807"))
    assert.equal(9223372036854775808.0, one("9223372036854775808"))
  end)
  it("builds lists and maps, and says where everything stands", function()
    local value, places = yaml.decode("a: 1\nb:\n  - x\n  - {c: [2, 3]}\nempty: []\n", "f.yaml")
    assert.same({ "a", "b", "empty" }, places[value].keys)
    assert.same({ 2, 1 }, places[value].at.b)
    assert.same({ 4, 5 }, places[value.b].at[2])
    assert.same({ 4, 6 }, places[value.b[2]].at.c)
    assert.equal(3, value.b[2].c[2])
    assert.equal("[]", crun.io.json_encode(value.empty))
    assert.equal("key: text\n", one("|\n  key: text\n"))
  end)
  it("expands aliases", function()
    local value = yaml.decode("a: &a {k: [1, 2]}\nb: *a\nc: [*a, *a]\n")
    assert.same({ k = { 1, 2 } }, value.b)
    assert.equal(2, value.c[2].k[2])
    value.b.k[1] = 9
    assert.equal(1, value.a.k[1])
  end)
  it("refuses what means nothing, with line and column", function()
    for text, expected in pairs {
      ["a: 1\na: 2"] = "f.yaml:2:1: the key 'a' stands twice in one map",
      ["a:\n  b: 1\n\tc: 2"] = "f.yaml:3:1: a tab in the indentation; use spaces",
      ["a: *x"] = "f.yaml:1:4: an alias to an anchor that is not there",
      ["a: &a [1, *a]"] = "f.yaml:1:11: an alias to a value that contains it",
      ["a: !!int 3"] = "f.yaml:1:4: tags",
      ["? [1]\n: 2"] = "f.yaml:1:3: a key must be a plain word",
      ["a: [1, 2"] = "f.yaml:2:1: did not find expected", ["a: b: c"] = "f.yaml:1:5:", ["a: 1\n---\nb: 2"] = "f.yaml:2:1: a second document",
      ["\xff"] = "f.yaml:1:1:", [("["):rep(70)] = "f.yaml:1:65: more than 64 levels deep", ["a: 'x"] = "f.yaml:1:",
    } do
      local ok, message = pcall(yaml.decode, text, "f.yaml")
      assert.is_false(ok, text)
      assert.truthy(message:find(expected, 1, true), message)
    end
  end)
  it("is quick with files made to hurt", function()
    local bomb = { "a0: &a0 [x,x,x,x,x,x,x,x,x]" }
    for i = 1, 9 do bomb[#bomb + 1] = ("a%d: &a%d [%s]"):format(i, i, ("*a%d,"):format(i - 1):rep(9)) end
    for text, expected in pairs { [table.concat(bomb, "\n")] = "more than 100000 values",
        [("[ "):rep(400000)] = "64 levels", [("{a: "):rep(200000)] = "64 levels", [("x"):rep(2 ^ 20 + 1 | 0)] = "1 MiB" } do
      local began = os.clock()
      local ok, message = pcall(yaml.decode, text, "f.yaml")
      assert.is_false(ok)
      assert.truthy(message:find(expected, 1, true), message)
      assert.is_true(os.clock() - began < 0.5)
    end
  end)
  it("takes an empty file for nothing", function()
    assert.equal(null, (yaml.decode("")))
    assert.equal(null, (yaml.decode("# only a comment\n")))
    assert.has_error(function() yaml.decode(3) end)
  end)
end)
