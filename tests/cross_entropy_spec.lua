local crun = require "crun"

local function says(text, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(err):find(text, 1, true), tostring(err))
end

describe("losses.cross_entropy", function()
  local x = crun.tensor {{0, 0}, {0, math.log(3)}}

  it("is worked by hand", function()
    local criterion = crun.losses.cross_entropy {}
    assert.near((math.log(2) + math.log(4)) / 2, criterion(x, crun.int {1, 1}):item(), 1e-6)
    assert.equal(0.5, criterion.stats.accuracy)       -- equal logits: the first counts
    local none = crun.losses.cross_entropy { reduction = "none" }(x, crun.int {1, 2}):totable()
    assert.near(math.log(2), none[1], 1e-6)
    assert.near(math.log(4 / 3), none[2], 1e-6)
  end)
  it("takes a distribution for a label", function()
    local hard = crun.losses.cross_entropy {}(x, crun.int {1, 2}):item()
    assert.near(hard, crun.losses.cross_entropy {}(x, crun.tensor {{1, 0}, {0, 1}}):item(), 1e-6)
  end)
  it("leaves out what is ignored", function()
    local u = crun.tensor {{1, 2}, {3, 1}}:requires_grad_()
    local loss = crun.losses.cross_entropy { ignore_index = -1 }(u, crun.int {2, -1})
    loss:backward()
    assert.near(math.log(1 + math.exp(-1)), loss:item(), 1e-6)
    assert.same({0, 0}, u:grad():totable()[2])
    assert.equal(0, crun.losses.cross_entropy { ignore_index = -1 }(u, crun.int {-1, -1}):item())
  end)
  it("does not overflow", function()
    assert.near(2000, crun.losses.cross_entropy {}(crun.tensor {{-1000, 1000}}, crun.int {1}):item(), 1e-3)
  end)
  it("names the label that is wrong", function()
    local criterion = crun.losses.cross_entropy {}
    says("labels are class numbers from 1 to 2, got 0 in row 2", criterion, x, crun.int {1, 0})
    says("labels must have shape [B] with B = 2 as in logits, got [3]", criterion, x, crun.int {1, 2, 1})
  end)
end)

describe("losses.binary_cross_entropy", function()
  it("agrees from logits and from probabilities", function()
    local u, t = crun.tensor {-2, 0.5, 3}, crun.tensor {0, 1, 0.3}
    assert.near(crun.losses.binary_cross_entropy {}(u, t):item(),
                crun.losses.binary_cross_entropy { from = "probabilities" }(u:sigmoid(), t):item(), 1e-6)
  end)
  it("stays finite where it is sure and wrong", function()
    local criterion = crun.losses.binary_cross_entropy { from = "probabilities" }
    assert.near(100, criterion(crun.tensor {0}, crun.tensor {1}):item(), 1e-4)
    assert.near(500, crun.losses.binary_cross_entropy {}(crun.tensor {-500}, crun.tensor {1}):item(), 1e-3)
  end)
end)
