local crun = require "crun"
local catalogue = require "crun.catalogue"
local cli = require "crun.cli"
local bench = require "crun.bench"
local docs = require "crun.docs"

describe("the catalogue", function()
  it("knows every loss and miner, however it is written", function()
    local seen = {}
    for _, name in ipairs(catalogue.names "losses") do seen[name] = true end
    for _, name in ipairs(crun.describe().losses) do assert.is_true(seen[name], name) end
    for _, name in ipairs { "snr_contrastive", "instance", "triplet", "arcface" } do
      assert.is_true(seen[name], name)
    end
    assert.is_nil(seen.criterion)
    assert.same(crun.describe().miners, catalogue.names "miners")
  end)

  it("reads help, formula and paper from the head of a file", function()
    local d = catalogue.from_comment "snr_contrastive"
    assert.truthy(d.help:find("Contrastive loss on the signal-to-noise distance", 1, true))
    assert.truthy(d.formula:find("max(0, d_ap - pos_margin)", 1, true))
    assert.truthy(d.paper:find("CVPR 2019", 1, true))
    assert.is_true(catalogue.describe("losses", "contrastive").composed)
    assert.is_true(catalogue.describe("losses", "matryoshka").wrapper)
    assert.is_nil(catalogue.describe("losses", "no_such_loss"))
  end)

  it("lists a loss as soon as it is defined", function()
    crun.loss.define { name = "catalogue_spec_loss", help = "a test", formula = "|z|^2", options = { scale = 2 },
      forward = function(self, z) return (z * z):sum() * self.scale end }
    local d = catalogue.describe("losses", "catalogue_spec_loss")
    assert.same({ "a test", "|z|^2", "scale" }, { d.help, d.formula, d.options[1].name })
    assert.truthy(cli.help("loss", "catalogue_spec_loss"):find("scale = 2", 1, true))
    crun.loss.defined.catalogue_spec_loss = nil
  end)

  it("has help, a formula and a paper for every loss and miner over batches", function()
    local without = {}
    for _, room in ipairs { "losses", "miners" } do
      for _, name in ipairs(catalogue.names(room)) do
        local d = catalogue.describe(room, name)
        if (d.help or "") == "" then without[#without + 1] = room .. "." .. name .. ": help" end
        if room == "losses" and not d.wrapper and (d.formula or "") == "" then
          without[#without + 1] = room .. "." .. name .. ": formula"
        end
      end
    end
    assert.same({}, without)
  end)
end)

describe("crun help", function()
  local function says(text, ...)
    local got, why = cli.help(...)
    assert.truthy((got or why):find(text, 1, true), got or why)
  end
  it("tells of what is written in Lua as of what is written in C", function()
    says("snr_contrastive", "loss")
    says("crun.losses.snr_contrastive { options } (embeddings, labels [, references, reference_labels])",
      "loss", "snr_contrastive")
    says("Also takes distances, reducers", "loss", "snr_contrastive")
    says("Holds other losses.", "loss", "matryoshka")
    says("pos_margin = 0", "snr_contrastive")
    says("did you mean 'snr_contrastive'?", "loss", "snr_contrastiv")
  end)
  it("tells one thing of a module", function()
    says("sampler.pk(opts)", "sampler", "pk")
    says("nn.Linear", "nn", "Linear")
    says("weight_ih_l0", "nn", "GRU")
    says("param", "optimiser", "adam")
    says("sampler has no 'pkk'; did you mean 'pk'?", "sampler", "pkk")

  end)
end)

describe("crun bench losses", function()
  local function measure(names, o)
    local records = {}
    o.threads, o.memory, o.limit = o.threads or { 1 }, o.memory or 2 << 30, o.limit or 20
    bench.losses(names, o, function(r) records[#records + 1] = r end)
    return records
  end
  it("measures time and memory", function()
    local records = measure({ triplet = true, ["miners.batch_hard"] = true }, { b = { 16, 64 }, threads = { 1, 2 } })
    assert.equal(8, #records)
    for _, r in ipairs(records) do
      assert.is_nil(r.reason)
      assert.is_true(r.median_ms >= r.min_ms and r.min_ms > 0 and r.peak_extra_mb >= 0, r.name)
      assert.equal(128, r.params.D)
    end
  end)
  it("has inputs for every loss and miner", function()
    local wrong = {}
    for _, r in ipairs(measure(nil, { b = { 24 } })) do
      if r.reason then wrong[#wrong + 1] = r.name .. ": " .. r.reason end
    end
    assert.same({}, wrong)
  end)
  it("says why it did not run", function()
    local records = measure({ snr_contrastive = true }, { b = { 512, 1024 }, memory = crun.memory().live + (1 << 20) })
    assert.truthy(records[1].reason)
    assert.truthy(records[2].reason)
    records = measure({ triplet = true }, { b = { 16, 32 }, limit = 0 })
    assert.is_not_nil(records[1].median_ms)
    assert.equal("expected to take over 0 s", records[2].reason)
  end)
  it("gives threads and ceiling back", function()
    local before, ceiling = crun.threads(), crun.memory().ceiling
    measure({ mse = true }, { b = { 16 }, threads = { 3 } })
    assert.equal(before, crun.threads())
    assert.equal(ceiling, crun.memory().ceiling)
  end)
end)

describe("docs/losses.md", function()
  it("is what crun docs losses prints", function()
    local file = assert(io.open("docs/losses.md"), "docs/losses.md is missing: crun docs losses > docs/losses.md")
    local text = file:read "a"
    file:close()
    assert.is_true(text == docs.losses() .. "\n", "out of date: ./crun docs losses > docs/losses.md")
  end)
end)
