--- How the golden cases of `distances` are said in crun.
local crun = require "crun"
local distances = crun.distances
local M = {}

--- A distance from its description in a case.
function M.of(d)
  if d.name == "LpDistance" then
    return distances.lp { p = d.p, power = d.power, normalize = d.normalize_embeddings }
  elseif d.name == "CosineSimilarity" then return distances.cosine_similarity { power = d.power }
  elseif d.name == "DotProductSimilarity" then
    return distances.dot_similarity { normalize = d.normalize_embeddings, power = d.power }
  elseif d.name == "SNRDistance" then
    return distances.snr { normalize = d.normalize_embeddings, power = d.power }
  end
  error("no such distance: " .. tostring(d.name))
end

for _, name in ipairs { "LpDistance", "CosineSimilarity", "DotProductSimilarity", "SNRDistance" } do
  M[name] = function(p, i)
    local matrix = M.of(p.distance)(i.embeddings, i.ref_emb)
    -- the upstream of these cases is named for `matrix`
    local total = (matrix * i.upstream):sum()
    return { matrix = matrix, loss = total }
  end
  -- the reference neither normalises nor raises to the power row by row: said here by a distance
  -- without both
  M[name .. ".pairwise_distance"] = function(p, i)
    local d = {}
    for key, value in pairs(p.distance) do d[key] = value end
    d.normalize_embeddings, d.power = false, 1
    local rows = M.of(d):rows(i.embeddings, i.ref_emb, p.eps)
    return { distances = rows, loss = rows:sum() }
  end
end

return M
