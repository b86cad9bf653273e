--- How the golden cases of `regularizers` are said in crun.
local crun = require "crun"
local distance_of = require "golden_cases.distances".of
local reducer_of = require "golden_cases.reducers".of
local regularizers = crun.regularizers
local M = {}

--- A regulariser from its description in a case.
function M.of(r)
  local o = { reducer = r.reducer and reducer_of(r.reducer) }
  if r.name == "LpRegularizer" then
    o.p, o.power = r.p, r.power
    return regularizers.lp(o)
  elseif r.name == "ZeroMeanRegularizer" then return regularizers.zero_mean(o)
  elseif r.name == "CenterInvariantRegularizer" then return regularizers.center_invariant(o)
  elseif r.name == "RegularFaceRegularizer" then
    o.distance = distance_of(r.distance)
    return regularizers.regular_face(o)
  elseif r.name == "SparseCentersRegularizer" then
    o.classes, o.centers = r.num_classes, r.centers_per_class
    return regularizers.sparse_centers(o)
  end
  error("no such regulariser: " .. tostring(r.name))
end

for _, name in ipairs { "LpRegularizer", "ZeroMeanRegularizer", "CenterInvariantRegularizer",
  "RegularFaceRegularizer",
    "SparseCentersRegularizer" } do
  M[name] = function(p, i)
    local r = { name = name }
    for key, value in pairs(p) do r[key] = value end
    return { loss = M.of(r)(i.x) }
  end
end

return M
