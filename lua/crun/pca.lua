--- Principal components: the directions a cloud of points is widest in.
--
--     local p = pca.fit(embeddings, 2)
--     local xy = p:transform(embeddings)           -- [N, 2]
--
-- With xc = x - mean over N points, the components are the unit eigenvectors of xc' xc with the
-- largest eigenvalues l_i; the variance along component i is l_i / (N - 1). With fewer points than
-- dimensions the N x N matrix xc xc' is taken instead: if xc xc' u = l u, then v = xc' u / sqrt(l).
-- Each component has the sign that makes its largest entry positive.
--
-- Jolliffe, "Principal component analysis", 2002, sec. 2 and 3.5.
--
-- @module crun.pca
local crun = require "crun"
local options = require "crun.options"

local M = {}

local Pca = { __name = "crun.pca" }
Pca.__index = Pca

local function check_points(where, x, D)
  options.check_value(where, "x", x, "tensor")
  local shape = x:shape()
  if #shape ~= 2 or (D and shape[2] ~= D) then
    crun.fail(where, ("x must be [N, %s], got [%s]"):format(D or "D", table.concat(shape, ", ")))
  end
  return shape[1], shape[2]
end

-- flips rows so that the entry of largest magnitude is positive
local function settle_signs(rows)
  for i = 1, rows:size(1) do
    local row, sign, most = rows[i], 1, 0
    for _, v in ipairs(row:totable()) do
      if math.abs(v) > most + 1e-12 then sign, most = v < 0 and -1 or 1, math.abs(v) end
    end
    if sign < 0 then rows[i] = row * -1 end
  end
end

--- x real [N, D], k components wanted (all that have variance when left out; at most min(N - 1,
-- D)).
-- Returns an object with mean [D], components [k, D] (rows of length 1), variance [k], ratio [k]
-- (shares of the whole variance).
function M.fit(x, k)
  local _ <close> = crun.no_grad()
  local where = "pca.fit"
  local N, D = check_points(where, x)
  if N < 2 then crun.fail(where, ("needs 2 points or more, got %d"):format(N)) end
  local most = math.min(N - 1, D)
  k = options.check_value(where, "k", k, { "count", most, most = most })
  local mean = x:mean(1)
  local xc = x - mean
  local tall = N >= D
  local values, vectors = crun.eigh(tall and xc:t():matmul(xc) or xc:matmul(xc:t()))
  local spread, total = values:totable(), 0
  for i, v in ipairs(spread) do
    spread[i] = math.max(v, 0)
    total = total + spread[i]
  end
  local components = vectors:narrow(1, 1, k):contiguous()
  if not tall then
    components = components:matmul(xc)
    for i = 1, k do
      local length = math.sqrt((components[i] * components[i]):sum():item())
      if length > 0 then components[i] = components[i] / length end
    end
    settle_signs(components)
  end
  local variance, ratio = {}, {}
  for i = 1, k do
    variance[i], ratio[i] = spread[i] / (N - 1), total > 0 and spread[i] / total or 0
  end
  return setmetatable({
    mean = mean, components = components, variance = crun.tensor(variance),
    ratio = crun.tensor(ratio),
  }, Pca)
end

--- [N, D] -> [N, k]: coordinates along the components.
function Pca:transform(x)
  check_points("pca:transform", x, self.mean:size(1))
  return (x - self.mean):matmul(self.components:t())
end

--- [N, k] -> [N, D]: the nearest points in the original space.
function Pca:inverse(y)
  check_points("pca:inverse", y, self.components:size(1))
  return y:matmul(self.components) + self.mean
end

return M
