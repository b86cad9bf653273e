-- The include rule: look down as far as you like, never up, never sideways between leaves.
local rank = { base = 1, kernels = 2, tensor = 3, autograd = 4,
               ops = 5, losses = 5, miners = 5, metrics = 5, optim = 5, io = 5, data = 5, bind = 6 }
local leaf = 5

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

describe("the layers", function()
  it("are respected by every include", function()
    local wrong = {}
    for _, line in ipairs(lines_of("grep -rnE '^#include \"' runtime")) do
      local room, included = line:match("^runtime/(%w+)/.-:%d+:#include \"(%w+)/")
      if room and included then
        local up = rank[included] > rank[room]
        local sideways = rank[room] == leaf and rank[included] == leaf and included ~= room
        if up or sideways then wrong[#wrong + 1] = line end
      end
    end
    assert.same({}, wrong)
  end)
  it("leave Lua to bind/ and main.c", function()
    local found = lines_of("grep -rlE '#include <(lua|lauxlib|lualib)' runtime | grep -v -e '^runtime/bind/' -e '^runtime/main.c' -e '^runtime/crun.h'")
    assert.same({}, found)
  end)
  it("leave allocation to base/memory.c", function()
    local found = lines_of("grep -rnE '\\b(malloc|calloc|realloc|aligned_alloc)\\(' runtime | grep -v -e '^runtime/base/memory.c' -e '^runtime/main.c' -e '^runtime/bind/'")
    assert.same({}, found)
  end)
end)
