--- `crun check loss NAME|FILE.lua [KEY=VALUE ...]`: is a loss right, and does it stand what comes?
--
--     crun check loss triplet margin=0.5
--     crun check loss arcface scale=30
--     crun check loss mylosses.lua              every loss that the file returns
--
-- FILE.lua returns a constructor (crun.loss.define { ... }), a criterion (crun.loss.pairwise(f)),
-- or a table of those by name. KEY=VALUE are options of the loss. It is called with embeddings
-- [B D] and labels [B], or with what its descriptor says, drawn at random; all in float64.
--
--   gradient     against central differences, along several random directions
--   order        the batch in another order gives the same loss, and the gradient in that order
--   one class, no two of a class, one item, none, equal rows, zero rows, huge rows
--                a number and a gradient that are finite (huge: not nan), or one clear error
--   nan, inf     are not taken for a number: the loss is not finite, or there is an error
--   labels       one label too few is an error
--   time, memory forward and backward, and the peak beyond the inputs, over B, beside contrastive
--
-- "ok" passes, "!" is worth a look, "x" fails: exit code 6. --quick leaves out time and memory.
--
-- @module crun.check
local crun = require "crun"
local options = require "crun.options"
local cio = crun.io

local M = {}

local B <const>, WIDTH <const>, CLASSES <const>, BUILT_IN <const> = 12, 6, 4, "contrastive"
local HUGE <const>, TOLERANCE <const> = 1e30, 1e-6

-- ---- what is called with what -------------------------------------------------------------------

local EMBEDDINGS_AND_LABELS <const> = {
  { name = "embeddings", shape = "B D", type = "real" },
  { name = "labels", shape = "B", type = "int64", nograd = true },
}

local function shape_of(line, rows, width)
  local size, shape = { B = rows, D = width, C = B }, {}
  if line == "..." then return { rows, width } end
  for token in line:gmatch "%S+" do
    shape[#shape + 1] = token == "..." and rows or tonumber(token) or size[token] or 5
  end
  return shape
end

-- labels have two items of a class at least: 1 2 3 4 1 2 3 4 ...
local function draw(inputs, rng, rows, width)
  local drawn = {}
  for i, input in ipairs(inputs) do
    local shape = shape_of(input.shape, rows, width)
    if input.type == "int64" and #shape == 1 and shape[1] == rows then
      local list = {}
      for k = 1, rows do list[k] = (k - 1) % CLASSES + 1 end
      drawn[i] = crun.int(list)
    elseif input.type == "int64" then drawn[i] = crun.randint(rng, math.max(rows, 1), shape)
    else drawn[i] = crun.randn(rng, shape) end
  end
  return drawn
end

-- how a loss is made, what it takes, and what it is called
local function subject(title, make, inputs)
  return { title = title, make = make, inputs = inputs or EMBEDDINGS_AND_LABELS }
end

local function required(inputs)
  local list = {}
  for _, input in ipairs(inputs) do
    if input.list or input.optional then break end
    list[#list + 1] = input
  end
  return list
end

-- losses that own weights are made with classes enough for every row
local function built_in(name, opts)
  local maker = crun.losses[name]
  if not maker then
    local near = options.nearest(name, crun.loss.names())
    return nil, ("there is no loss '%s'%s"):format(name, near and
      ("; did you mean '%s'?"):format(near) or "; `crun help loss` lists them")
  end
  local owning = {}
  for key, value in pairs(opts) do owning[key] = value end
  local function make(width)
    owning.classes, owning.dim = opts.classes or B, width or WIDTH
    owning.rng = crun.rng(1, "check", 1)
    return maker(owning)
  end
  if pcall(make) then return { subject(name, make) } end
  local d = crun.describe("losses", name)
  return { subject(name, function() return maker(opts) end, d and required(d.inputs)) }
end

local function callable(value)
  local meta = type(value) ~= "function" and getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end

local function from_file(path, opts)
  local chunk, message = loadfile(path, "t")
  if not chunk then return nil, message end
  local result = chunk(path)
  local found = {}
  local function add(title, value)
    if type(value) == "function" then
      found[#found + 1] = subject(title, function() return value(opts) end)
    elseif callable(value) then found[#found + 1] = subject(title, function() return value end) end
  end
  if type(result) == "table" and not callable(result) then
    for _, name in ipairs(options.sorted_keys(result)) do add(name, result[name]) end
  else
    add(path:match "([^/]*)%.lua$" or path, result)
  end
  if #found == 0 then
    return nil, path .. " must return a loss, or a table of losses; it returned " ..
      options.say(result)
  end
  return found
end

-- ---- one call -----------------------------------------------------------------------------------

local function is_real(t) return options.kind(t) == "tensor" and t:dtype() == crun.precision end

local function parameters_of(criterion)
  local ok, list = pcall(function() return criterion:parameters() end)
  return ok and type(list) == "table" and list or {}
end

-- The loss as a number and the gradients of its real inputs; or nil and an error
local function evaluate(s, criterion, inputs)
  local copies = {}
  for i, t in ipairs(inputs) do
    copies[i] = is_real(t) and not s.inputs[i].nograd and t:detach():clone():requires_grad_() or t
  end
  local ok, loss = pcall(criterion, table.unpack(copies))
  if not ok then return nil, tostring(loss) end
  if options.kind(loss) ~= "tensor" or loss:numel() ~= 1 then
    return nil, "gives no tensor of one number but " .. options.say(loss)
  end
  local gradients = {}
  if loss:wants_grad() then loss:backward() end
  for i, t in ipairs(copies) do
    if is_real(t) then gradients[i] = t:grad() or crun.zeros(t:shape()) end
  end
  return loss:item(), gradients
end

local function finite(x) return x - x == 0 end

local function has_nan(t) return t:numel() > 0 and t:isnan():sum():item() > 0 end

local function all_finite(t)
  return t:numel() == 0 or t:isfinite():sum():item() == t:numel()
end

-- an error of ours names no line of the library and ends in a full sentence of what was wrong
local function first_line(text)
  return (text:match "^[^\n]*":gsub("^crun: ", ""):gsub("^[^:]+:%d+: ", ""))
end

-- ---- the checks ---------------------------------------------------------------------------------

-- each: (subject) -> "ok" | "!" | "x", text
local checks = {}

local function value_at(s, criterion, inputs)
  local _ <close> = crun.no_grad()
  local loss = criterion(table.unpack(inputs))
  return loss:item()
end

-- one direction: the difference between slope and differences, relative; nil on a kink
local function gradient_error(s, seed)
  local rng = crun.rng(seed, "check", 2)
  local criterion, inputs = s.make(), draw(s.inputs, rng, B, WIDTH)
  local loss, gradients = evaluate(s, criterion, inputs)
  if not loss then error(gradients, 0) end
  local moved, slope = {}, 0
  for i, g in pairs(gradients) do
    if not s.inputs[i].nograd then
      moved[i] = crun.randn(rng, g:shape())
      slope = slope + (g * moved[i]):sum():item()
    end
  end
  local own, ways = parameters_of(criterion), {}
  for k, p in ipairs(own) do
    ways[k] = crun.randn(rng, p:shape())
    if p:grad() then slope = slope + (p:grad() * ways[k]):sum():item() end
  end
  local function at(h)
    local _ <close> = crun.no_grad()
    local there = {}
    for i, t in ipairs(inputs) do there[i] = moved[i] and t + moved[i] * h or t end
    for k, p in ipairs(own) do p:add_(ways[k], h) end
    local value = value_at(s, criterion, there)
    for k, p in ipairs(own) do p:add_(ways[k], -h) end
    return value
  end
  local function difference(h) return (at(h) - at(-h)) / (2 * h) end
  local fine, coarse = difference(1e-6), difference(1e-5)
  local scale = math.max(1, math.abs(slope))
  if math.abs(fine - coarse) > 1e-5 * scale then return nil end
  return math.min(math.abs(fine - slope), math.abs(coarse - slope)) / scale
end

checks[#checks + 1] = { "gradient", function(s)
  local worst, tried, kinks = 0, 0, 0
  for seed = 1, 20 do
    local off = gradient_error(s, seed)
    if off then
      worst, tried = math.max(worst, off), tried + 1
      if off ~= off then worst = math.huge end
    else kinks = kinks + 1 end
    if tried == 5 then break end
  end
  if tried == 0 then return "!", "every point drawn lies on a hinge: nothing to compare" end
  return worst <= TOLERANCE and "ok" or "x", ("off by %.1e at most, in %d directions%s"):format(
    worst, tried, kinks > 0 and (" (%d more lay on a hinge)"):format(kinks) or "")
end }

checks[#checks + 1] = { "order", function(s)
  local rng = crun.rng(1, "check", 3)
  local inputs, order = draw(s.inputs, rng, B, WIDTH), crun.randperm(rng, B)
  local turned = {}
  for i, t in ipairs(inputs) do
    turned[i] = s.inputs[i].shape:find "^B" and t:index_select(order) or t
  end
  local loss, gradients = evaluate(s, s.make(), inputs)
  if not loss then error(gradients, 0) end
  local other, theirs = evaluate(s, s.make(), turned)
  if not other then error(theirs, 0) end
  local scale = math.max(1e-12, math.abs(loss))
  local off = math.abs(loss - other) / scale
  for i, g in pairs(gradients) do
    if s.inputs[i].shape:find "^B" then g = g:index_select(order) end
    local largest = math.max(g:abs():amax():item(), 1e-12)
    off = math.max(off, (g - theirs[i]):abs():amax():item() / largest)
  end
  if off <= 1e-8 then return "ok", "the batch in another order has the same loss and gradient" end
  return "x", ("the batch in another order has the loss %.10g, not %.10g, or another gradient")
    :format(other, loss)
end }

-- a batch changed by change(tensor, input); good(loss, gradients) is nil, or what is wrong
local function behaviour(name, rows, change, good)
  checks[#checks + 1] = { name, function(s)
    local inputs = draw(s.inputs, crun.rng(1, "check", 4), rows, WIDTH)
    for i, t in ipairs(inputs) do inputs[i] = change(t, s.inputs[i]) or t end
    local loss, gradients = evaluate(s, s.make(), inputs)
    if not loss then return "ok", "is an error: " .. first_line(gradients) end
    local wrong = good(loss, gradients)
    if wrong then return "x", wrong end
    local largest = 0
    for _, g in pairs(gradients) do
      if g:numel() > 0 then largest = math.max(largest, g:abs():amax():item()) end
    end
    return "ok", ("loss %.6g, largest slope %.3g"):format(loss, largest)
  end }
end

local function say(loss) return loss ~= loss and "nan" or ("%.6g"):format(loss) end

local function must_be_finite(loss, gradients)
  if not finite(loss) then return "the loss is " .. say(loss) end
  for _, g in pairs(gradients) do
    if not all_finite(g) then return ("the loss is %.6g, its gradient not finite"):format(loss) end
  end
end

local function must_not_be_nan(loss, gradients)
  if loss ~= loss then return "the loss is nan" end
  for _, g in pairs(gradients) do
    if has_nan(g) then return ("the loss is %.6g, its gradient holds nan"):format(loss) end
  end
end

local function labelled(input) return input.type == "int64" and input.shape == "B" end
local function keep() end

behaviour("one class", B, function(t, input)
  return labelled(input) and crun.ones(B):int()
end, must_be_finite)
behaviour("no two of a class", B, function(t, input)
  return labelled(input) and crun.arange(1, B):int()
end, must_be_finite)
behaviour("one item", 1, keep, must_be_finite)
behaviour("no item", 0, keep, must_be_finite)
behaviour("equal rows", B, function(t, input)
  return is_real(t) and t:ndim() > 0 and t:narrow(1, 1, 1):expand(t:shape()):contiguous()
end, must_be_finite)
behaviour("zero rows", B, function(t, input) return is_real(t) and t * 0 end, must_be_finite)
behaviour("huge rows", B, function(t, input) return is_real(t) and t * HUGE end, must_not_be_nan)

local function not_a_number(bad)
  return function(t, input)
    if not is_real(t) or t:numel() == 0 then return nil end
    local flat = t:reshape(t:numel()):clone()
    flat[1] = bad
    return flat:reshape(t:shape())
  end
end

for _, name in ipairs { "nan", "inf" } do
  local bad = name == "nan" and 0 / 0 or math.huge
  checks[#checks + 1] = { name, function(s)
    local inputs, change = draw(s.inputs, crun.rng(1, "check", 5), B, WIDTH), not_a_number(bad)
    for i, t in ipairs(inputs) do inputs[i] = change(t) or t end
    local loss, gradients = evaluate(s, s.make(), inputs)
    if not loss then return "ok", "is an error: " .. first_line(gradients) end
    if not finite(loss) then return "ok", "the loss is " .. say(loss) end
    return name == "nan" and "x" or "!", ("the loss is %.6g, as if nothing were wrong"):format(loss)
  end }
end
checks[#checks + 1] = { "labels", function(s)
  local inputs = draw(s.inputs, crun.rng(1, "check", 6), B, WIDTH)
  local any
  for i, input in ipairs(s.inputs) do
    if labelled(input) then inputs[i], any = inputs[i]:narrow(1, 1, B - 1):contiguous(), true end
  end
  if not any then return "ok", "takes none" end
  local loss, message = evaluate(s, s.make(), inputs)
  if loss then return "x", "one label too few is taken for a batch" end
  return "ok", "one too few is an error: " .. first_line(message)
end }

-- ---- time and memory ----------------------------------------------------------------------------

local function live()
  collectgarbage()
  collectgarbage()
  return crun.memory().live
end

-- the median milliseconds of forward and backward, and the peak of memory beyond what was there
local function measure(s, rows)
  local inputs = draw(s.inputs, crun.rng(1, "check", 7), rows, 32)
  local times, peak, criterion = {}, 0, s.make(32)
  for run = 1, 4 do
    local before = live()
    crun.memory_reset_peak()
    local started = cio.monotonic()
    local loss, message = evaluate(s, criterion, inputs)
    if not loss then return nil, message end
    if run > 1 then times[#times + 1] = (cio.monotonic() - started) * 1000 end
    peak = math.max(peak, crun.memory().peak - before)
  end
  table.sort(times)
  return times[2], peak / 1e6
end

local function costs(s, beside)
  print(("   %-18s %8s %12s %12s %14s %14s"):format("time, memory", "B", "ms", "MB",
    beside.title .. " ms", beside.title .. " MB"))
  for _, rows in ipairs { 64, 256, 1024 } do
    local ms, mb = measure(s, rows)
    if not ms then
      print(("!  %-18s %8d %s"):format("", rows, first_line(mb)))
      return
    end
    local other_ms, other_mb = measure(beside, rows)
    print(("   %-18s %8d %12.2f %12.2f %14.2f %14.2f"):format("", rows, ms, mb, other_ms, other_mb))
    if ms > 5000 then return end
  end
end

-- ---- the command --------------------------------------------------------------------------------

--- Checks one subject; prints a line for each check. Returns how many failed.
local function check(s, quick)
  print(s.title)
  local failed = 0
  for _, c in ipairs(checks) do
    local ok, mark, text = pcall(c[2], s)
    if not ok then mark, text = "x", first_line(tostring(mark)) end
    if mark == "x" then failed = failed + 1 end
    print(("%-2s %-18s %s"):format(mark, c[1], text))
  end
  if not quick and #s.inputs == 2 and labelled(s.inputs[2]) then
    costs(s, subject(BUILT_IN, function() return crun.losses[BUILT_IN] {} end))
  end
  return failed
end

local function refuse(text)
  io.stderr:write("crun: check: ", text, "\n")
  crun.exit(2)
end

local function value_of(text)
  if text == "true" or text == "false" then return text == "true" end
  return math.tointeger(tonumber(text)) or tonumber(text) or text
end

-- gradients are compared in float64: starts again there, and ends with its exit code
local function again_in_double(args)
  local words = { cio.realpath "/proc/self/exe", "--double", "--threads", tostring(crun.threads()),
    "check" }
  table.move(args, 1, #args, #words + 1, words)
  for i, word in ipairs(words) do words[i] = "'" .. word:gsub("'", "'\\''") .. "'" end
  io.stdout:flush()
  local _, how, code = os.execute(table.concat(words, " "))
  crun.exit(how == "exit" and code or 128 + code)
end

--- crun check ARGS...
function M.run(args)
  local kind, what, opts, quick = args[1], args[2], {}, false
  if kind ~= "loss" or not what then
    refuse "write crun check loss NAME or crun check loss FILE.lua"
  end
  for i = 3, #args do
    local key, text = args[i]:match "^([%a][%w_]*)=(.*)$"
    if args[i] == "--quick" then quick = true
    elseif key then opts[key] = value_of(text)
    else refuse(("options of the loss are KEY=VALUE, got '%s'"):format(args[i])) end
  end
  if crun.precision ~= "float64" then return again_in_double(args) end
  local subjects, why
  if what:find "%.lua$" then subjects, why = from_file(what, opts)
  else subjects, why = built_in(what, opts) end
  if not subjects then refuse(why) end
  local failed = 0
  for i, s in ipairs(subjects) do
    if i > 1 then print() end
    local ok, message = pcall(s.make)
    if not ok then
      refuse(("%s cannot be made: %s"):format(s.title, first_line(tostring(message))))
    end
    failed = failed + check(s, quick)
  end
  if failed > 0 then
    io.stderr:write(("crun: %d of the checks failed\n"):format(failed))
    crun.exit(6)
  end
end

return M
