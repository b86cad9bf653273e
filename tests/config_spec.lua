local config = require "crun.config"
local shell = require "scripts.shell"

local function resolve(args, spec)
  return config.resolve(spec or {
    lr = { 1e-3, min = 0, max = 1, help = "learning rate" }, epochs = { 20, min = 1 },
    loss = { "triplet", choices = { "triplet", "contrastive" } }, name = "", flip = false,
    widths = { 32, 64 }, scales = { 1, 0.5 }, batch = { classes = 8, deep = { er = 1.5 } },
  }, args)
end

local function refuses(text, args, spec)
  local ok, message = pcall(resolve, args, spec)
  assert.is_false(ok)
  assert.truthy(message:find(text, 1, true), message)
end

describe("config", function()
  it("keeps defaults and their kinds", function()
    local cfg = resolve {}
    assert.equal(0.001, cfg.lr)
    assert.equal("integer", math.type(cfg.epochs))
    assert.equal(1.5, cfg.batch.deep.er)
    assert.same({ 32, 64 }, { cfg.widths[1], cfg.widths[2] })
  end)

  it("takes KEY=VALUE of every kind", function()
    local cfg = resolve { "lr=1", "epochs=1e2", "loss=contrastive", "name=a=b", "flip=true",
      "widths=1,2,3", "scales=2,3", "batch.classes=9", "batch.deep.er=3", "--", "anything" }
    assert.equal("float", math.type(cfg.lr))
    assert.equal(100, cfg.epochs)
    assert.equal("integer", math.type(cfg.epochs))
    assert.equal("contrastive", cfg.loss)
    assert.equal("a=b", cfg.name)
    assert.is_true(cfg.flip)
    assert.equal(3, #cfg.widths)
    assert.equal("integer", math.type(cfg.widths[3]))
    assert.equal("float", math.type(cfg.scales[1]))
    assert.equal(9, cfg.batch.classes)
    assert.equal(3.0, cfg.batch.deep.er)
  end)

  it("takes an empty list, and --flag for true", function()
    local cfg = resolve { "widths=", "--flip" }
    assert.equal(0, #cfg.widths)
    assert.is_true(cfg.flip)
  end)

  it("refuses what does not fit, and says what would", function()
    refuses("there is no setting 'lrr'; did you mean 'lr'?", { "lrr=1" })
    refuses("there is no setting 'clases'; did you mean 'batch.classes'?", { "clases=1" })
    refuses("there is no setting 'zzzzzz'; this script has batch.classes, batch.deep.er, epochs",
      { "zzzzzz=1" })
    refuses("'batch' is a group of settings; set one of them: batch.classes, batch.deep.er",
      { "batch=1" })
    refuses("lr must be at most 1, got 2.0", { "lr=2" })
    refuses("lr must be a number, got 'fast'", { "lr=fast" })
    refuses("lr must be a number, got 'nan'", { "lr=nan" })
    refuses("lr must be a number, got '1e999'", { "lr=1e999" })
    refuses("epochs must be at least 1, got 0", { "epochs=0" })
    refuses("epochs must be a whole number, got '2.5' (its default in the script is 20; write 20.0",
      { "epochs=2.5" })
    refuses("flip must be true or false, got 'yes'", { "flip=yes" })
    refuses("loss must be one of triplet, contrastive; got tripet, did you mean triplet?",
      { "loss=tripet" })
    refuses("widths must be a list like 32,64 of which each is a whole number, got '1,x'",
      { "widths=1,x" })
    refuses("settings are given as KEY=VALUE, got 'epochs', write epochs=VALUE", { "epochs" })
  end)

  it("refuses a declaration that makes no sense", function()
    refuses("has a field 'mni'", {}, { a = { 1, mni = 2 } })
    refuses("the list a must hold", {}, { a = { 1, "x" } })
    refuses("the default of a must be", {}, { a = print })
    refuses("a must be at least 5, got 1", {}, { a = { 1, min = 5 } })
    refuses("expected a table of settings", {}, { 1, 2 })
    refuses("the name of a setting must be a word", {}, { ["a.b"] = 1 })
  end)

  it("is strict about undeclared keys", function()
    local cfg = resolve {}
    assert.has_error(function() return cfg.epoch end)
    assert.has_error(function() return cfg.batch.clases end)
    assert.has_error(function() cfg.new = 1 end)
    local _, message = pcall(function() return cfg.batch.clases end)
    assert.truthy(message:find("there is no setting 'batch.clases' to read; did you mean 'classes'?", 1, true))
    cfg.epochs = 3                                          -- a declared one may change
    assert.equal(3, cfg.epochs)
  end)

  it("knows where each value comes from", function()
    local cfg = resolve { "lr=0.5" }
    cfg.epochs = 2
    local record = config.record(cfg)
    assert.equal("command line", record.origin.lr)
    assert.equal("script", record.origin.epochs)
    assert.equal("default", record.origin["batch.classes"])
    assert.equal(8, record.settings.batch.classes)
    assert.is_nil(getmetatable(record.settings))
  end)

  it("has equal fingerprints exactly for equal values", function()
    assert.equal(config.fingerprint(resolve { "lr=1e-1" }),
      config.fingerprint(resolve { "lr=0.1" }))
    assert.not_equal(config.fingerprint(resolve { "lr=0.1" }),
      config.fingerprint(resolve { "lr=0.2" }))
  end)
end)

describe("a script with crun.config", function()
  local function script(words) return shell.run({ "tests/scripts/train.lua",
    table.unpack(words) }) end

  it("prints its settings in the author's order with --help", function()
    local r = script { "--help" }
    assert.equal(0, r.code)
    assert.truthy(r.out:find("A small regression with noise", 1, true))
    assert.truthy(r.out:find("epochs=3 .*passes over the data %(at least 0%).*batch=8.*lr=0.05.*seed=1"))
  end)

  it("prints values and origins with --config", function()
    local r = script { "lr=1", "--config" }
    assert.equal(0, r.code)
    assert.truthy(r.out:find("lr = 1.0 +command line"))
    assert.truthy(r.out:find("epochs = 3 +default"))
  end)

  it("ends with 3 at an unknown key, at the line of crun.config", function()
    local r = script { "lrr=1" }
    assert.equal(3, r.code)
    assert.equal("crun: tests/scripts/train.lua:5: config: there is no setting 'lrr'; did you mean 'lr'?\n", r.err)
  end)

  it("may call it once only", function()
    local r = shell.run { "-e", "local c = require 'crun'; c.config { a = 1 }; c.config { b = 1 }" }
    assert.truthy(r.err:find("declared at", 1, true), r.err)
    assert.equal(3, r.code)
  end)
end)

