local crun = require "crun"
local options = require "crun.options"
local inspect = crun.inspect

local spec = {
  k = { "count", 4, least = 2 }, seed = { "integer", 1 }, rate = { "number", above = 0, most = 1 },
  short = { "string", "error", choices = { "error", "repeat", "drop" } }, labels = "tensor?",
}

local function refused(given)
  local ok, text = pcall(options.check, "f", given, spec)
  assert.is_false(ok)
  return (text:gsub("^[^:]*:%d+: ", ""))
end

describe("options.check", function()
  it("fills in defaults and leaves the table alone", function()
    local given = { rate = 0.5, k = 3.0 }
    assert.same({ k = 3, seed = 1, rate = 0.5, short = "error" }, options.check("f", given, spec))
    assert.equal("float", math.type(given.k))
  end)
  it("says what is unknown, of the wrong type, out of range", function()
    assert.equal("f: unknown option 'sede'; did you mean 'seed'?", refused { rate = 1, sede = 2 })
    assert.equal("f: unknown option 'zzz'; it takes k, labels, rate, seed, short",
      refused { rate = 1, zzz = 2 })
    assert.equal("f: k must be a whole number, got a string \"4\"", refused { rate = 1, k = "4" })
    assert.equal("f: k must be a whole number, got 2.5", refused { rate = 1, k = 2.5 })
    assert.equal("f: k must be at least 2, got 1", refused { rate = 1, k = 1 })
    assert.equal("f: rate must be greater than 0, got 0", refused { rate = 0 })
    assert.equal("f: rate must be at most 1, got 2", refused { rate = 2 })
    assert.equal("f: rate is missing; it must be a number", refused {})
    assert.equal("f: labels must be a tensor, got a table", refused { rate = 1, labels = { 1 } })
    assert.equal("f: short must be one of error, repeat, drop; got a string \"repaet\", did you mean 'repeat'?",
      refused { rate = 1, short = "repaet" })
    assert.equal("f: options are named, as in { k = ... }, got one without a name (1)",
      refused { rate = 1, 7 })
    assert.equal("f: options must be a table, as in { name = value }, got 3", refused(3))
  end)
  it("names the line of the script", function()
    local _, text = pcall(options.check, "f", { oops = 1 }, spec)
    assert.truthy(text:find "options_spec.lua:%d+: f: ")
  end)
end)

describe("inspect", function()
  it("prints keys in order, on one line when it is short", function()
    assert.equal("{ 1, 2, a = 1, b = { c = true, [\"d e\"] = \"x\" } }",
      inspect { 1, 2, b = { ["d e"] = "x", c = true }, a = 1 })
    assert.equal("{}", inspect {})
    assert.equal("{ [\"end\"] = 0.1, third = " .. ("%.16g"):format(1 / 3) .. " }",
      inspect { ["end"] = 0.1, third = 1 / 3 })
  end)
  it("stops at cycles, depth and length", function()
    local t = { 1 }
    t.me = t
    assert.equal("{ 1, me = <cycle> }", inspect(t))
    assert.equal("{ { ... } }", inspect({ { 1 } }, { depth = 0 }))
    assert.equal("{ 1, 2, ... 3 more }", inspect({ 1, 2, 3, 4, 5 }, { items = 2 }))
  end)
  it("breaks long tables into lines", function()
    assert.equal("{\n  a = \"" .. ("x"):rep(60) .. "\",\n  b = \"" .. ("y"):rep(60) .. "\"\n}",
      inspect { a = ("x"):rep(60), b = ("y"):rep(60) })
  end)
end)
