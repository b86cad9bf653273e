-- Golden vectors through the Lua API, in both precisions: the sample in tests/golden, and a whole set beside the project when
-- there is one.
local crun = os.getenv "CRUN" or "./crun"

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

local function run(options, folder)
  local pipe = assert(io.popen(("%s %s tests/golden.lua %s 2>&1"):format(crun, options, folder)))
  local text = pipe:read "a"
  return pipe:close(), text
end

for _, folder in ipairs { "tests/golden", "../shared/golden" } do
  describe("the golden vectors of " .. folder, function()
    for name, options in pairs { float32 = "", float64 = "--double" } do
      it("are met in " .. name, function()
        if not exists(folder .. "/manifest.lua") then return pending("there is no " .. folder) end
        local ok, text = run(options, folder)
        assert.is_true(ok, text)
        assert.truthy(text:find("0 failed", 1, true), text)
        assert.truthy(tonumber(text:match("(%d+) passed")) > 100, text)
      end)
    end
  end)
end
