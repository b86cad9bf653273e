--- Runs a golden set through the Lua API:  crun [--double] tests/golden.lua DIR [CATEGORY[/PREFIX]] [-v]
-- The format is told in the set's own README. Ends with "N passed, N failed, N skipped"; a case is skipped when
-- its function is not built, or when it has no tolerance for this precision. -v names every case.
local crun = require "crun"
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local root, only, verbose
for _, a in ipairs(arg) do
  if a == "-v" then verbose = true elseif not root then root = a else only = a end
end
if not root then
  io.stderr:write("usage: crun [--double] tests/golden.lua DIR [CATEGORY[/PREFIX]] [-v]\n")
  os.exit(2)
end

local precision = crun.precision == "float64" and "f64" or "f32"

-- ---- arrays: read here, not by crun.io, so that a fault there cannot hide; expectations stay in double ----------

local formats = { ["<f8"] = "<d", ["<f4"] = "<f", ["<i8"] = "<i8" }

local function read_npy(path)
  local file = assert(io.open(path, "rb"))
  local data = file:read "a"
  file:close()
  assert(data:sub(1, 6) == "\x93NUMPY", path .. ": not an npy file")
  local header_length = string.unpack("<I2", data, 9)
  local header = data:sub(11, 10 + header_length)
  local descr = header:match("'descr': '([^']+)'")
  local format = assert(formats[descr], path .. ": unexpected type")
  local shape, numel = {}, 1
  for n in header:match("'shape': %(([^)]*)%)"):gmatch("%d+") do
    shape[#shape + 1] = math.tointeger(n)
    numel = numel * math.tointeger(n)
  end
  local values, at = {}, 11 + header_length
  for i = 1, numel do values[i], at = string.unpack(format, data, at) end
  return { shape = shape, values = values, whole = descr == "<i8" }
end

local function to_tensor(array)
  local flat = (array.whole and crun.int or crun.tensor)(array.values)
  return flat:reshape(array.shape)
end

-- ---- comparing: max |got - want| <= atol + rtol * max |want|; nan and inf in the same places ------------------

local function number(v)
  if type(v) == "number" then return v end
  return ({ nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge })[v]
end

local function is_finite(v) return v == v and v ~= math.huge and v ~= -math.huge end

local function compare(got, want, whole, tolerance)
  if #got ~= #want then return ("%d numbers, want %d"):format(#got, #want) end
  local scale = 0
  for i = 1, #want do if is_finite(want[i]) then scale = math.max(scale, math.abs(want[i])) end end
  local bound = tolerance.atol + tolerance.rtol * scale
  for i = 1, #want do
    local g, w = got[i], want[i]
    local same
    if whole then same = g == w
    elseif w ~= w then same = g ~= g
    elseif not is_finite(w) then same = g == w
    else same = math.abs(g - w) <= bound end
    if not same then return ("element %d is %.17g, want %.17g within %.3g"):format(i, g, w, bound) end
  end
end

local function flat(t)
  return t:reshape(t:numel()):totable()
end

local function compare_array(name, got, path, tolerance)
  local want = read_npy(root .. "/" .. path)
  if not got then return name .. ": no result" end
  if type(got) == "number" then got = crun.scalar(got) end
  local shape = got:shape()
  local alike = #shape == #want.shape
  for d = 1, #shape do alike = alike and shape[d] == want.shape[d] end
  if not alike then
    return ("%s: shape [%s], want [%s]"):format(name, table.concat(shape, ", "), table.concat(want.shape, ", "))
  end
  local wrong = compare(flat(got), want.values, want.whole, tolerance)
  return wrong and name .. ": " .. wrong
end

-- ---- one case -------------------------------------------------------------------------------------------

local function backward(case, out, inputs)
  local total = out.loss
  if not total then
    for key, value in pairs(inputs) do
      local upstream_of = key == "upstream" and "out" or key:match("^upstream%.(.+)$")
      if upstream_of then
        local result = assert(out[upstream_of], "no result " .. upstream_of)
        local part = (result * value):sum()
        total = total and total + part or part
      end
    end
  end
  assert(total, "nothing to differentiate")
  if total:wants_grad() then total:backward() end
end

local function run_case(case, adapter)
  local tolerance = case.tol[precision]
  local inputs, wants_grad = {}, false
  for name, path in pairs(case.inputs) do inputs[name] = to_tensor(read_npy(root .. "/" .. path)) end
  for name in pairs(case.arrays) do
    local input = name:match("^grad%.(.+)$")
    if input and inputs[input] and inputs[input]:dtype() == crun.precision then
      inputs[input]:requires_grad_()
      wants_grad = true
    end
  end
  local out = adapter(case.params, inputs, case)
  if crun.is_tensor(out) then out = { out = out } end
  if wants_grad and not out.done then backward(case, out, inputs) end
  for name, want in pairs(case.values) do
    local got = out[name]
    if got == nil then return name .. ": no result" end
    if crun.is_tensor(got) then got = got:item() end
    local wrong = compare({ got }, { number(want) }, false, tolerance)
    if wrong then return name .. ": " .. wrong end
  end
  for name, path in pairs(case.arrays) do
    local input = name:match("^grad%.(.+)$")
    local got = out[name]
    if got == nil and input then
      got = inputs[input]:grad() or crun.zeros(inputs[input]:shape())
    end
    local wrong = compare_array(name, got, path, tolerance)
    if wrong then return wrong end
  end
end

-- ---- all ------------------------------------------------------------------------------------------------

local passed, failed, skipped, missing = 0, 0, 0, {}
local category, prefix = (only or ""):match("^([^/]*)(.*)$")

for _, path in ipairs(dofile(root .. "/manifest.lua").manifests) do
  local this = path:match("^([^/]+)/")
  if category == "" or category == this then
    local has_adapters, adapters = pcall(require, "golden_cases." .. this)
    if not has_adapters and not tostring(adapters):find("not found", 1, true) then error(adapters, 0) end
    for _, case in ipairs(dofile(root .. "/" .. path)) do
      if prefix == "" or case.name:sub(1, #only) == only then
        local adapter = has_adapters and adapters[case["function"]]
        local reason
        if not adapter then
          reason, missing[this .. "/" .. case["function"]] = "not built", true
        elseif not case.tol[precision] then
          reason = "no tolerance for " .. precision
        else
          reason = adapters.skip and adapters.skip(case)
        end
        if reason then
          skipped = skipped + 1
          if verbose then print("skip " .. case.name .. ": " .. reason) end
        else
          local ok, wrong = xpcall(run_case, debug.traceback, case, adapter)
          if ok and not wrong then
            passed = passed + 1
            if verbose then print("ok   " .. case.name) end
          else
            failed = failed + 1
            print("FAIL " .. case.name .. ": " .. tostring(wrong))
          end
        end
      end
    end
  end
end

local names = {}
for name in pairs(missing) do names[#names + 1] = name end
if #names > 0 and verbose then
  table.sort(names)
  print("not built: " .. table.concat(names, " "))
end
print(("%d passed, %d failed, %d skipped"):format(passed, failed, skipped))
os.exit(failed == 0)
