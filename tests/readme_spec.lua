-- The README's script is the one in experiments/, and its output is what the README says.
local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "a"
  local ok = pipe:close()
  return text, ok
end

local crun = os.getenv "CRUN" or "./crun"
local readme = read "README.md"

describe("the README", function()
  it("shows experiments/first.lua to the letter", function()
    local shown = readme:match("`experiments/first.lua`%):\n\n```lua\n(.-)```")
    assert.equal(read("experiments/first.lua"):gsub("^%-%-[^\n]*\n", ""), shown)
  end)
  it("says what the script prints", function()
    local shown = readme:match("%$ %./crun experiments/first%.lua\n(.-)```")
    local got, ok = output_of(crun .. " experiments/first.lua")
    assert.is_true(ok, got)
    -- the last digit may differ between kinds of processor
    assert.equal(shown:match("^(.-: %d%.%d)"), got:match("^(.-: %d%.%d)"))
    local want, have = tonumber(shown:match("(%d%.%d+)")), tonumber(got:match("(%d%.%d+)"))
    assert.is_true(math.abs(want - have) < 0.05, got)
  end)
  it("has a loss in Lua that runs and has a gradient", function()
    local code = readme:match("```lua\n(local function soft_triplet.-)```")
    local soft_triplet = assert(load(code .. "\nreturn soft_triplet"))()
    local c = require "crun"
    local x = c.randn(c.rng(1), 4, 3):requires_grad_()
    soft_triplet(x, c.randn(c.rng(2), 4, 3), c.randn(c.rng(3), 4, 3)):backward()
    assert.same({4, 3}, x:grad():shape())
  end)
end)
