-- crun: --double
local crun = require "crun"

-- the losses that have a fused and a composed form
local names = {}
for name in ([[ angular circle contrastive dynamic_soft_margin fast_ap generalized_lifted histogram instance
    intra_pair_variance lifted margin multi_similarity n_pairs nca ntxent pnp ranked_list snr_contrastive supcon
    threshold_consistent triplet tuplet_margin ]]):gmatch "%S+" do
  if crun.native.losses[name] then names[#names + 1] = name end
end

local function options_of(name)
  local known = {}
  for _, o in ipairs(crun.describe("losses", name).options) do known[o.name] = o end
  return known
end

local function words(text)
  local list = {}
  for word in (text or ""):gmatch "%S+" do list[#list + 1] = word end
  return list
end

-- rows of unit length, so that ranges made for those fit; two rows alike
local function batch(seed, B)
  local rng = crun.rng(seed, "composed")
  local z = crun.randn(rng, B, 5):normalize():detach()
  local labels = crun.int { 1, 2, 3, 1, 2, 3, 1, 2, 1, 4 }
  return z, labels:narrow(1, 1, B):contiguous()
end

local function value_and_gradient(criterion, z, ...)
  local leaf = z:clone():requires_grad_()
  local loss = criterion(leaf, ...)
  loss:backward()
  return loss:item(), leaf:grad()
end

local function agree(name, options, ...)
  local o = {}
  for key, value in pairs(options) do o[key] = value end
  local fused = crun.losses[name](o)
  o.composed = true
  local composed = crun.losses[name](o)
  local a, ga = value_and_gradient(fused, ...)
  local b, gb = value_and_gradient(composed, ...)
  local text = {}
  for key, value in pairs(options) do text[#text + 1] = key .. " = " .. tostring(value) end
  text = name .. " { " .. table.concat(text, ", ") .. " }: "
  assert(math.abs(a - b) <= 1e-9 * math.max(1, math.abs(a)), ("%sfused %.12g, composed %.12g")
    :format(text, a, b))
  assert(crun.allclose(ga, gb, 1e-7, 1e-8 * math.max(1, ga:abs():amax():item())), text ..
    "gradients differ")
end

describe("the composed form agrees with the fused", function()
  for _, name in ipairs(names) do
    local known = options_of(name)
    it("in " .. name, function()
      local z, labels = batch(1, 10)
      agree(name, {}, z, labels)
      for _, option in ipairs { "distance", "variant", "mine", "target" } do
        for _, choice in ipairs(words(known[option] and known[option].choices)) do
          local o = { [option] = choice }
          -- some know no other distance than a similarity, or want the range of others
          local known_to_both = option ~= "distance" or pcall(crun.native.losses[name](o), z,
            labels, table.unpack(
            name == "dynamic_soft_margin" and { nil, nil, crun.zeros(10) } or {}, 1, 3))
          if known_to_both then agree(name, o, z, labels) end
        end
      end
      for _, reduction in ipairs(words(known.reduction and known.reduction.choices)) do
        agree(name, { reduction = reduction }, z, labels)
      end
      for _, flag in ipairs { "normalize", "soft", "swap", "raw_negatives", "detach" } do
        if known[flag] then
          agree(name, { [flag] = not known[flag].default, range = known.range and 9 }, z * 1.5,
            labels)
        end
      end
    end)
  end

  it("against a reference set", function()
    local z, labels = batch(2, 6)
    local references, reference_labels = batch(3, 9)
    for _, name in ipairs(names) do
      local inputs = crun.describe("losses", name).inputs
      local no_tuples = name == "histogram" or name == "pnp" or name == "ranked_list"
      if inputs[3] and inputs[3].name == "references" and not no_tuples then
        agree(name, {}, z, labels, references, reference_labels)
      end
    end
  end)
end)
