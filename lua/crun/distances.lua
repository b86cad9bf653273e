--- Distances: the matrix of all pairs, and the row-by-row form; both differentiable.
--
--     local d = crun.distances.lp { p = 2, normalize = true }
--     local matrix = d(x, y)              -- [N M]; d(x) is the rows of x to each other, with 0 on
--                                         the diagonal
--     local each = d:rows(x, y)           -- [N]: row i of x to row i of y
--     crun.losses.triplet { distance = d }
--
--   lp { p, power, normalize, norm } (sum |x_k - y_k|^p)^(power/p); normalize divides by a norm
--                                    first, of the order `norm`, p when left out. The losses' own
--                                    normalize is that of norm = 2
--   euclidean, manhattan             lp with p = 2 and p = 1
--   cosine { power, eps }            (1 - cos)^power: smaller is nearer
--   cosine_similarity { power, eps } cos^power: larger is nearer
--   dot, dot_similarity { normalize, power }      -<x, y> and <x, y>
--   snr { normalize, power }         var(x - y) / var(x): not symmetric, x is the anchor (Yuan and
--                                    others, "Signal-to-noise ratio", CVPR 2019)
--   mahalanobis { transform | matrix, power }     |L x - L y|, L = transform [K D], may be learnt;
--                                    or sqrt((x - y)' M (x - y)) for a positive semidefinite
--                                    M [D D]
--
-- Nothing is normalised unless normalize = true says so, but by cosine (pytorch-metric-learning
-- normalises in every distance by default, its dot product too). A row of zeros stays zero: it is
-- divided by max(norm, eps), eps = 1e-12. The gradient of a distance at 0 is 0. A constant anchor
-- has no signal: its snr is inf or nan.
--
-- `inverted` is true where larger is nearer. Losses only use these, so that each works with both
-- kinds:
--   d:margin(a, b)      a - b, or b - a when inverted: above 0 where a is farther
--   d:nearest(a, b)     the elementwise nearer one
--   d:similarity(m)     m, or -m when not inverted
--
-- Memory of the matrix form: N M; of snr and mahalanobis as well.
--
-- @module crun.distances
local crun = require "crun"
local options = require "crun.options"

local M = {}
local fail, check = crun.fail, options.check

local Distance = { __name = "crun.distance", inverted = false, power = 1, p = 2, norm = 2,
  normalize = false, eps = 1e-12 }
Distance.__index = Distance

function Distance:__tostring()
  local text = "distances." .. self.name .. " {"
  for _, key in ipairs { "p", "power", "normalize" } do
    local value = rawget(self, key)
    if value ~= nil then text = text .. (" %s = %s,"):format(key, value) end
  end
  return text:gsub(",$", "") .. " }"
end

local function matrix_of(where, name, x)
  if options.kind(x) ~= "tensor" or x:ndim() ~= 2 then
    fail(where, ("%s must be a tensor [N D], got %s"):format(name, options.kind(x) == "tensor" and
      "[" .. table.concat(x:shape(), ", ") .. "]" or options.say(x)))
  end
end

local function raise(self, m) return self.power == 1 and m or m ^ self.power end

-- the rows as the distance compares them
function Distance:prepare(x)
  if self.normalize then x = x:normalize { p = self.norm, eps = self.eps } end
  return x
end

--- The matrix [N M] of x [N D] to y [M D]; without y, or with y the same tensor, of x to itself.
function Distance:matrix(x, y)
  local where = "distances." .. self.name
  matrix_of(where, "x", x)
  if y and rawequal(x, y) then y = nil end
  if y then
    matrix_of(where, "y", y)
    if y:size(2) ~= x:size(2) then
      fail(where, ("y must be as wide as x, %d, got %d"):format(x:size(2), y:size(2)))
    end
  end
  return raise(self, self.pairs_of(self, self:prepare(x), y and self:prepare(y)))
end
Distance.__call = Distance.matrix

--- Row i of x to row i of y: the diagonal of the matrix, without the matrix. eps is added to each
-- difference x - y of lp (torch's pairwise_distance has 1e-6 there; 0 when left out).
function Distance:rows(x, y, eps)
  local where = "distances." .. self.name
  matrix_of(where, "x", x)
  matrix_of(where, "y", y)
  local a, b = x:shape(), y:shape()
  if a[1] ~= b[1] or a[2] ~= b[2] then
    local text = "rows need two tensors of one shape, got [%d, %d] and [%d, %d]"
    fail(where, text:format(a[1], a[2], b[1], b[2]))
  end
  return raise(self, self.each_of(self, self:prepare(x), self:prepare(y), eps or 0))
end

function Distance:margin(a, b)
  if self.inverted then a, b = b, a end
  -- a number on the left of a tensor
  return type(a) == "number" and -(b - a) or a - b
end

function Distance:nearest(a, b)
  if self.inverted then return crun.maximum(a, b) end
  return crun.minimum(a, b)
end

function Distance:similarity(m) return self.inverted and m or -m end

-- the learnable tensors of a distance; only mahalanobis has one
function Distance:parameters() return {}, {} end

local function new(name, fields)
  fields.name = name
  return setmetatable(fields, Distance)
end

-- ---- Lp ----------------------------------------------------------------------------------------

local function lp(name, opts, p)
  local o = check("distances." .. name, opts, {
    p = not p and { "number", 2, least = 1 } or nil, power = { "number", 1, above = 0 },
    normalize = { "boolean", false }, norm = { "number?", least = 1 },
  })
  p = p or o.p
  return new(name, {
    p = p, power = o.power, normalize = o.normalize, norm = o.norm or p,
    pairs_of = function(_, x, y) return crun.cdist(x, y, { p = p }) end,
    each_of = function(_, x, y, eps) return crun.pairwise_distance(x, y, { p = p, eps = eps }) end,
  })
end

function M.lp(opts) return lp("lp", opts) end
function M.euclidean(opts) return lp("euclidean", opts, 2) end
function M.manhattan(opts) return lp("manhattan", opts, 1) end

-- ---- products ----------------------------------------------------------------------------------

-- sign 1: the product itself, larger is nearer; -1: its distance
local function product(name, opts, sign, cosine)
  local o = check("distances." .. name, opts,
    { power = { "number", 1, above = 0 }, normalize = not cosine and { "boolean", false } or nil,
      eps = { "number", 1e-12, least = 0 } })
  local function value(s)
    if sign > 0 then return s end
    return cosine and 1 - s or -s
  end
  return new(name, {
    inverted = sign > 0, power = o.power, normalize = cosine or o.normalize, eps = o.eps,
    pairs_of = function(_, x, y) return value(crun.matmul(x, y or x, { transpose_y = true })) end,
    each_of = function(_, x, y) return value((x * y):sum(2)) end,
  })
end

function M.cosine(opts) return product("cosine", opts, -1, true) end
function M.cosine_similarity(opts) return product("cosine_similarity", opts, 1, true) end
function M.dot(opts) return product("dot", opts, -1, false) end
function M.dot_similarity(opts) return product("dot_similarity", opts, 1, false) end

-- ---- signal to noise ---------------------------------------------------------------------------

-- |xc - yc|^2 of the rows less their means is (D - 1) var(x - y): no [N M D], and exact where x is
-- near y
function M.snr(opts)
  local o = check("distances.snr", opts,
    { power = { "number", 1, above = 0 }, normalize = { "boolean", false } })
  local function centre(x) return x - x:mean { dim = 2, keepdim = true } end
  local function noise_over_signal(noise, x, keepdim)
    return noise / centre(x):square():sum { dim = 2, keepdim = keepdim }
  end
  return new("snr", {
    power = o.power, normalize = o.normalize,
    pairs_of = function(_, x, y)
      return noise_over_signal(crun.cdist(centre(x), y and centre(y)):square(), x, true)
    end,
    each_of = function(_, x, y)
      return noise_over_signal(centre(x - y):square():sum(2), x, false)
    end,
  })
end

-- ---- Mahalanobis -------------------------------------------------------------------------------

-- L with L' L = M, from the eigenvalues of M
local function root_of(where, m)
  if options.kind(m) ~= "tensor" or m:ndim() ~= 2 or m:size(1) ~= m:size(2) then
    fail(where, "matrix must be a tensor [D D]")
  end
  local values, vectors = crun.eigh(m)
  local least, most = values:amin():item(), values:amax():item()
  if least < -1e-5 * math.max(most, 1e-30) then
    fail(where, ("matrix must be positive semidefinite, its least eigenvalue is %g"):format(least))
  end
  return (vectors * values:clamp { min = 0 }:sqrt():unsqueeze(2)):detach()
end

function M.mahalanobis(opts)
  local where = "distances.mahalanobis"
  local o = check(where, opts,
    { transform = "tensor?", matrix = "tensor?", power = { "number", 1, above = 0 } })
  if (o.transform == nil) == (o.matrix == nil) then
    fail(where, "give transform [K D] or matrix [D D]")
  end
  return new("mahalanobis", {
    power = o.power, transform = o.transform or root_of(where, o.matrix),
    prepare = function(self, x)
      if self.transform:size(2) ~= x:size(2) then
        fail(where, ("it is for rows of %d, got %d"):format(self.transform:size(2), x:size(2)))
      end
      return x:matmul(self.transform, { transpose_y = true })
    end,
    pairs_of = function(_, x, y) return crun.cdist(x, y) end,
    each_of = function(_, x, y, eps) return crun.pairwise_distance(x, y, { eps = eps }) end,
    parameters = function(self)
      if self.transform:wants_grad() then return { self.transform }, { "transform" } end
      return {}, {}
    end,
  })
end

-- ---- by name -----------------------------------------------------------------------------------

local names = { "euclidean", "manhattan", "cosine", "dot", "snr", "cosine_similarity",
  "dot_similarity" }

--- A distance from its name or a distance, which is handed through. settings: { squared =,
-- normalize = } as the losses take them beside a name. where: who asks, for the message.
function M.named(where, value, settings)
  if options.kind(value) == "distance" then return value end
  for _, name in ipairs(names) do
    if value == name then
      local cosine, lp_name = name:find "^cosine" ~= nil, name == "euclidean" or name == "manhattan"
      return M[name] {
        power = settings and settings.squared and lp_name and 2 or 1, norm = lp_name and 2 or nil,
        normalize = not cosine and settings and settings.normalize or nil,
      }
    end
  end
  local near = type(value) == "string" and options.nearest(value, names)
  fail(where, ("distance must be one of %s, or made by crun.distances; got %s%s"):format(
    table.concat(names, ", "), options.say(value),
    near and (", did you mean '%s'?"):format(near) or ""))
end

return M
