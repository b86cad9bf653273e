--- How the golden cases of `reducers` are said in crun. Row numbers and classes count from 0 there.
local crun = require "crun"
local reducers = crun.reducers
local M = {}

local names = { MeanReducer = "mean", SumReducer = "sum", AvgNonZeroReducer = "avg_non_zero",
  DivisorReducer = "divisor" }

--- A reducer from its description in a case.
function M.of(r)
  if names[r.name] then return reducers[names[r.name]]() end
  if r.name == "ThresholdReducer" then return reducers.threshold { low = r.low, high = r.high } end
  if r.name == "ClassWeightedReducer" then
    return reducers.class_weighted { weights = r.weights }
  end
  if r.name == "PerAnchorReducer" then return reducers.per_anchor { reducer = M.of(r.reducer) } end
  if r.name == "MultipleReducers" then
    local parts = {}
    for name, inner in pairs(r.reducers) do parts[name] = M.of(inner) end
    parts.default = r.default_reducer and M.of(r.default_reducer)
    return reducers.multiple(parts)
  end
  error("no such reducer: " .. tostring(r.name))
end

local kinds = { element = "element", pos_pair = "pair", neg_pair = "pair", triplet = "triplet" }

local function one(p, i)
  local anchor = i.idx or i.idx_a
  return { loss = M.of(p.reducer)(i.losses, {
    kind = kinds[p.reduction_type], anchor = anchor + 1, labels = i.labels + 1, rows = #i.labels,
    divisor = p.divisor,
  }) }
end

for name in pairs(names) do M[name] = one end
M.ThresholdReducer, M.ClassWeightedReducer, M.PerAnchorReducer = one, one, one

function M.MultipleReducers(p, i)
  local parts = {}
  for name, losses in pairs(i) do parts[#parts + 1] = { name = name, losses = losses } end
  return { loss = reducers.reduce(M.of(p.reducer), parts, {}) }
end

return M
