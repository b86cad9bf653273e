--- crun.losses.NAME { options }: every loss by name.
--
--     local criterion = crun.losses.triplet { margin = 0.2 }
--     local loss = criterion(z, labels)
--     criterion(z, labels, { a, p, n })                       mined triplets; or { a, p, a2, n }
--     criterion(z, labels, references, reference_labels)      queries against a reference set
--     criterion(z, crun.relation { ... } [, references])      any supervision
--
-- Options of every loss over labelled batches, beside its own:
--
--   distance     a name, or an object of crun.distances
--   reducer      a name, or an object of crun.reducers; in place of `reduction`
--   regularizer  { crun.regularizers.NAME { ... }, weight }: a price on the embeddings, added
--   compat       "pml": what pytorch-metric-learning does where that looks like a slip (a list of
--                one pair gives 0; lifted and cross_batch_memory say more)
--   composed     true: the form written in operators, where the loss has a fused one too
--
-- What the fused losses in C do not know (listed pairs, other distances and reducers, relations)
-- goes to the composed form in lua/crun/loss/NAME.lua, in time and memory B^2; the numbers are the
-- same.
local crun = require "crun"

-- written in operators, one file each in lua/crun/loss
local composed = [[ angular circle contrastive dynamic_soft_margin fast_ap generalized_lifted
  histogram instance intra_pair_variance lifted manifold margin multi_similarity n_pairs nca ntxent
  pnp ranked_list snr_contrastive supcon threshold_consistent triplet tuplet_margin ]]

-- criteria that hold other criteria
local wrappers = [[ cross_batch_memory self_supervised multiple matryoshka ]]

local source = {}
for name in composed:gmatch "%S+" do source[name] = "composed" end
for name in wrappers:gmatch "%S+" do source[name] = "wrapper" end

local M = {}

-- losses over class weights and proxies come from their own module, when it is there
local proxies
local function proxy(name)
  if proxies == nil then
    local found = package.searchpath("crun.proxy", package.path)
    proxies = found and require "crun.proxy" or false
  end
  return proxies and type(proxies) == "table" and rawget(proxies, name) or nil
end

local function find(name)
  if source[name] == "composed" then
    return require("crun.loss.criterion").constructor(require("crun.loss." .. name))
  elseif source[name] == "wrapper" then
    return require("crun.loss." .. name)
  end
  return proxy(name) or require("crun.loss").defined[name] or crun.native.losses[name]
end

--- The names of all losses, sorted.
local function names()
  local seen, list = {}, {}
  local function add(name)
    if not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  for name in pairs(source) do add(name) end
  for name in pairs(crun.native.losses) do add(name) end
  for name in pairs(require("crun.loss").defined) do add(name) end
  proxy ""
  for name, value in pairs(proxies or {}) do if type(value) == "function" then add(name) end end
  table.sort(list)
  return list
end

return setmetatable(M, {
  __index = function(self, name)
    local maker = type(name) == "string" and find(name) or nil
    -- a loss that is defined anew replaces the old one: those are looked up each time
    if maker and not require("crun.loss").defined[name] then
      -- `micro = n` is an option of any loss: exact gradients of a batch in pieces
      maker = require("crun.micro").option(maker)
      rawset(self, name, maker)
    end
    return maker
  end,
  __pairs = function(self)
    local list, i = names(), 0
    return function()
      i = i + 1
      if list[i] then return list[i], self[list[i]] end
    end
  end,
})
