-- crun: --double
-- crun check loss: what it finds in good losses and in bad ones, and its exit codes.
local crun = require "crun"

local exe = crun.io.realpath "/proc/self/exe"
local folder = os.tmpname()
os.remove(folder)

local function run(words)
  local pipe = io.popen(("'%s' check %s 2>&1"):format(exe, words))
  local text = pipe:read "a"
  local _, _, code = pipe:close()
  return text, code
end

local function write(name, text)
  crun.io.mkdir(folder)
  local path = folder .. "/" .. name
  crun.io.write_file(path, "local crun = require 'crun'\n" .. text)
  return path
end

-- the mark before the line of a check
local function mark(text, name)
  return text:match("\n(%S+) +" .. name:gsub("%p", "%%%0") .. " ") or text:match("^(%S+) +" .. name .. " ")
end

describe("crun check loss", function()
  teardown(function() os.execute(("rm -rf '%s'"):format(folder)) end)

  it("passes built-in losses, with options, with weights of their own, with other inputs", function()
    for _, words in ipairs { "loss contrastive --quick", "loss triplet margin=0.5 mine=semihard --quick",
      "loss arcface scale=16 --quick", "loss mse --quick" } do
      local text, code = run(words)
      assert.equal(0, code, text)
      assert.equal("ok", mark(text, "gradient"))
      assert.is_nil(text:find("\nx ", 1, true), text)
    end
  end)

  it("begins again in float64 and hands on the exit code", function()
    local text, code = run("loss contrastive")
    assert.equal(0, code, text)
    assert.truthy(text:find("contrastive MB", 1, true))
    local _, bad = run("loss nothing")
    assert.equal(2, bad)
  end)

  it("passes a closure and a defined loss from a file", function()
    local path = write("good.lua", [[
      return {
        closure = crun.loss.pairwise(function(d, same) return same and d ^ 2 or (1 - d):relu() end),
        defined = crun.loss.define { options = { t = 0.5 }, forward = function(self, z, labels)
          if #z ~= #labels then error("labels must be as many as rows") end
          return (z * self.t):square():sum() / math.max(#z, 1)
        end },
      }]])
    local text, code = run("loss " .. path .. " --quick")
    assert.equal(0, code, text)
    assert.truthy(text:find("closure\n", 1, true) and text:find("defined\n", 1, true))
  end)

  it("finds a wrong gradient, an order that matters, nan, and labels that are not looked at", function()
    local path = write("bad.lua", [[
      return crun.loss.define { forward = function(self, z, labels)
        local share = z:square():sum(2) / z:detach():square():sum(2)
        return (share * crun.arange(1, #z)):sum()
      end }]])
    local text, code = run("loss " .. path .. " --quick")
    assert.equal(6, code, text)
    for _, name in ipairs { "gradient", "order", "zero rows", "labels" } do
      assert.equal("x", mark(text, name), name .. "\n" .. text)
    end
    assert.truthy(text:find("4 of the checks failed", 1, true), text)
  end)

  it("says what cannot be checked", function()
    local text, code = run("loss trplet")
    assert.equal(2, code)
    assert.truthy(text:find("there is no loss 'trplet'; did you mean 'triplet'?", 1, true), text)
    text, code = run("loss triplet margn=1")
    assert.equal(2, code)
    assert.truthy(text:find("unknown option 'margn'", 1, true), text)
    text, code = run("loss " .. write("none.lua", "return 3"))
    assert.equal(2, code)
    assert.truthy(text:find("must return a loss, or a table of losses; it returned 3", 1, true), text)
    text, code = run("miner triplet")
    assert.equal(2, code)
    assert.truthy(text:find("write crun check loss NAME", 1, true), text)
  end)
end)
