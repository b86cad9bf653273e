-- crun: --double
-- The C modules of tests/rock, built with gcc against runtime/crun.h as a rock is, and loaded by require.
local crun = require "crun"

local function says(text, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(err):find(text, 1, true), tostring(err))
end

local gcc = os.execute("command -v gcc >/dev/null 2>&1")
local folder = os.tmpname()
os.remove(folder)

local function build(name, source, flags)
  crun.io.mkdir(folder)
  local command = ("gcc -O1 -Wall -Wextra -Werror -shared -fPIC %s -Iruntime -I/usr/include/lua5.4 %s -o %s/%s.so -lm 2>&1")
    :format(flags or "", source, folder, name)
  local pipe = io.popen(command)
  local text = pipe:read "a"
  assert(pipe:close(), text)
  if not package.cpath:find(folder, 1, true) then package.cpath = folder .. "/?.so;" .. package.cpath end
end

describe("a C module built against crun.h", function()
  if not gcc then
    pending("needs gcc, which is not here")
    return
  end
  teardown(function() os.execute(("rm -rf '%s'"):format(folder)) end)

  it("adds a loss", function()
    build("cube", "tests/rock/cube.c")
    local cube = require "cube"
    assert.equal(cube, crun.losses.cube)
    local z = crun.tensor {{0, 0}, {3, 4}, {1, 1}}:requires_grad_()
    local criterion = cube { power = 2 }
    local loss = criterion(z, crun.int {1, 1, 2})
    loss:backward()
    assert.near(25, loss:item(), 1e-12)
    assert.same({ { -6, -8 }, { 6, 8 }, { 0, 0 } }, z:grad():totable())
    assert.equal(1, criterion.stats.pairs)
    assert.equal(2, criterion.power)
    criterion.power = 1
    assert.near(5, criterion(z, crun.int {1, 1, 2}):item(), 1e-12)
    assert.equal(0, criterion(z, crun.int {1, 2, 3}):item())
  end)

  it("has the gradient of its loss", function()
    local z, labels = crun.randn(crun.rng(1, "rock"), 9, 3), crun.randint(crun.rng(2, "rock"), 3, 9)
    local v = crun.randn(crun.rng(3, "rock"), 9, 3)
    local criterion = crun.losses.cube {}
    local x = z:clone():requires_grad_()
    criterion(x, labels):backward()
    local slope = (criterion(z + v * 1e-6, labels) - criterion(z - v * 1e-6, labels)):item() / 2e-6
    assert.near(slope, (x:grad() * v):sum():item(), 1e-6 * math.abs(slope))
  end)

  it("is told of mistakes in crun's words", function()
    says("losses.cube: power must be in 1 .. 10, got 0", crun.losses.cube, { power = 0 })
    says("losses.cube: unknown option 'pwer'; did you mean 'power'?", crun.losses.cube, { pwer = 2 })
    local criterion = crun.losses.cube {}
    says("losses.cube: labels must have shape [B] with B = 3", criterion, crun.zeros(3, 2), crun.int {1, 2})
    says("losses.cube: embeddings must have a column or more", criterion, crun.zeros(3, 0), crun.int {1, 2, 3})
  end)

  it("works on tensors", function()
    build("norms", "tests/rock/norms.c")
    local norms = require "norms"
    assert.is_true(crun.allclose(crun.tensor {5, 13}, norms.rows(crun.tensor {{3, 4}, {5, 12}}), 1e-12, 0))
    assert.same({ 0 }, norms.rows(crun.zeros(0, 3)):shape())
    says("norms.rows: x must be a tensor, got a table", norms.rows, {})
    says("norms.rows: x must be a packed real [N, D], got 1 dimensions", norms.rows, crun.zeros(3))
  end)

  it("of another ABI is refused", function()
    local path = folder .. "/old.c"
    crun.io.write_file(path, "#include <crun.h>\n#undef CRUN_ABI\n#define CRUN_ABI 0\n" ..
      "static void f(crun_call *c) { c->loss = 0; }\n" ..
      "static const crun_input in[] = { { \"x\", \"B D\", 0, 0 }, { 0 } };\n" ..
      "static const crun_loss l = { .abi = CRUN_ABI, .name = \"old\", .inputs = in, .forward = f };\n" ..
      "int luaopen_old(lua_State *L) { crun_open(L)->register_loss(L, &l); return 1; }\n")
    build("old", path, "-Wno-missing-field-initializers")
    says("a loss for ABI 0 of crun, this crun has 1", require, "old")
  end)

  it("cannot take the name of a built-in", function()
    local path = folder .. "/taken.c"
    crun.io.write_file(path, "#include <crun.h>\nstatic void f(crun_call *c) { c->loss = 0; }\n" ..
      "static const crun_input in[] = { { \"x\", \"B D\", 0, 0 }, { 0 } };\n" ..
      "static const crun_loss l = { .abi = CRUN_ABI, .name = \"triplet\", .inputs = in, .forward = f };\n" ..
      "int luaopen_taken(lua_State *L) { crun_open(L)->register_loss(L, &l); return 1; }\n")
    build("taken", path, "-Wno-missing-field-initializers")
    says("the name 'triplet' belongs to a built-in loss", require, "taken")
  end)
end)
