--- A linear classifier on frozen embeddings, the usual test of a representation.
--
--     local scores = eval.linear_probe(train, train_labels, test, test_labels, { l2 = 1e-4 })
--     --> { accuracy = 0.91, train_accuracy = 0.97, loss = 0.12, iterations = 43 }
--
-- Multinomial logistic regression, minimised to the end by L-BFGS:
--
--   L = mean of cross-entropy(W x + b, label) + l2 / 2 |W|^2
--
-- Columns are brought to mean 0 and deviation 1 first (standardize), with the training set's
-- numbers. L is convex, so the result does not depend on a seed or on a schedule.
-- Liu, Nocedal, "On the limited memory BFGS method", Mathematical Programming 1989.
--
-- @module crun.probe
local crun = require "crun"
local options = require "crun.options"

local M = {}

-- logits held at a time, in numbers
local CHUNK <const> = 4000000

local function dot(a, b) return (a * b):sum():item() end

--- Minimises f by L-BFGS with a backtracking line search (Armijo).
-- f(x) gives the value (a number) and the gradient (a tensor like x). opts: iterations (200),
-- memory (10), tolerance (1e-5: stop when the largest entry of the gradient is below it).
-- Returns x, the value, the number of iterations, and whether the tolerance was reached.
function M.lbfgs(f, x, opts)
  local o = options.check("probe.lbfgs", opts, { iterations = { "count", 200 },
    memory = { "count", 10 }, tolerance = { "number", 1e-5, least = 0 } })
  local value, gradient = f(x)
  local steps, changes, inverse = {}, {}, {}
  for iteration = 1, o.iterations do
    if gradient:abs():amax():item() <= o.tolerance then return x, value, iteration - 1, true end

    -- the two loops: direction = -H gradient
    local direction, alpha = gradient:clone(), {}
    for i = #steps, 1, -1 do
      alpha[i] = inverse[i] * dot(steps[i], direction)
      direction = direction - changes[i] * alpha[i]
    end
    local n = #steps
    if n > 0 then
      direction = direction * (1 / (inverse[n] * dot(changes[n], changes[n])))
    end
    for i = 1, n do
      local beta = inverse[i] * dot(changes[i], direction)
      direction = direction + steps[i] * (alpha[i] - beta)
    end
    direction = -direction
    local slope = dot(direction, gradient)
    if not (slope < 0) then                         -- rounding has eaten the curvature: start over
      direction, slope = -gradient, -dot(gradient, gradient)
      steps, changes, inverse = {}, {}, {}
    end

    local length = n == 0 and math.min(1, 1 / math.sqrt(-slope)) or 1
    local next_x, next_value, next_gradient
    for _ = 1, 30 do
      next_x = x + direction * length
      next_value, next_gradient = f(next_x)
      if next_value <= value + 1e-4 * length * slope then break end
      length = length / 2
    end
    if not (next_value < value) then return x, value, iteration, false end

    local s, y = next_x - x, next_gradient - gradient
    local curvature = dot(s, y)
    if curvature > 1e-10 * dot(y, y) then
      if #steps == o.memory then
        table.remove(steps, 1) table.remove(changes, 1) table.remove(inverse, 1)
      end
      steps[#steps + 1], changes[#changes + 1], inverse[#inverse + 1] = s, y, 1 / curvature
    end
    x, value, gradient = next_x, next_value, next_gradient
  end
  return x, value, o.iterations, false
end

-- labels of any numbers -> 1 .. C; names[c] is the label of class c
local function number_labels(labels)
  local names, inverse = crun.unique(labels)
  return inverse, names
end

-- Calls f(rows, first, n) for pieces of x whose logits fit the chunk.
local function in_chunks(x, classes, f)
  local N = x:size(1)
  local rows = math.max(1, CHUNK // classes)
  for first = 1, N, rows do
    local n = math.min(rows, N - first + 1)
    crun.scope(function() f(x:narrow(1, first, n), first, n) end)
  end
end

local function accuracy(x, labels, names, weight, bias)
  if x:size(1) == 0 then return 0 / 0 end
  local right = 0
  in_chunks(x, names:numel(), function(rows, first, n)
    local predicted = names:index_select(crun.linear(rows, weight, bias):argmax { dim = 2 }, 1)
    right = right + predicted:eq(labels:narrow(1, first, n)):real():sum():item()
  end)
  return right / x:size(1)
end

--- train [N, D] and labels [N] (any integers); test [M, D] and test_labels may be left out.
-- opts: l2 (1e-4), iterations (200), tolerance (1e-5), standardize (true).
-- Returns { accuracy (on test), train_accuracy, loss, iterations, converged }, and the weight [C,
-- D], bias [C] and class labels [C].
function M.linear(train, labels, test, test_labels, opts)
  local where = "eval.linear_probe"
  options.check_value(where, "train", train, "tensor")
  options.check_value(where, "labels", labels, "tensor")
  local o = options.check(where, opts, { l2 = { "number", 1e-4, least = 0 },
    iterations = { "count", 200 }, tolerance = { "number", 1e-5, least = 0 },
    standardize = { "boolean", true } })
  local N, D = train:size(1), train:size(2)
  if N == 0 or labels:numel() ~= N then
    crun.fail(where, ("train has %d rows and labels %d"):format(N, labels:numel()))
  end
  local class, names = number_labels(labels)
  local C = names:numel()
  train = train:detach()
  if o.standardize then
    local mean = train:mean(1)
    local deviation = ((train - mean):square():mean(1) + 1e-12):sqrt()
    train = (train - mean) / deviation
    test = test and (test:detach() - mean) / deviation
  end

  local criterion = crun.losses.cross_entropy { reduction = "sum" }
  local function objective(x)
    local gradient, value = crun.zeros(C * (D + 1)), 0
    in_chunks(train, C, function(rows, first, n)
      local leaf = x:detach():clone():requires_grad_(true)
      local weight = leaf:narrow(1, 1, C * D):reshape(C, D)
      local bias = leaf:narrow(1, C * D + 1, C)
      local loss = criterion(crun.linear(rows, weight, bias), class:narrow(1, first, n)) / N
      loss:backward()
      gradient:add_(leaf:grad())
      value = value + loss:item()
    end)
    local weights = x:narrow(1, 1, C * D)
    gradient:narrow(1, 1, C * D):add_(weights, o.l2)
    return value + o.l2 / 2 * dot(weights, weights), gradient
  end

  local x, value, iterations, converged = M.lbfgs(objective, crun.zeros(C * (D + 1)),
    { iterations = o.iterations, tolerance = o.tolerance })
  local weight, bias = x:narrow(1, 1, C * D):reshape(C, D), x:narrow(1, C * D + 1, C):contiguous()
  local scores = { train_accuracy = accuracy(train, labels, names, weight, bias), loss = value,
    iterations = iterations, converged = converged }
  if test then scores.accuracy = accuracy(test, test_labels, names, weight, bias) end
  return scores, weight, bias, names
end

return M
