local crun = require "crun"
local shell = require "scripts.shell"
local ui = require "crun.ui"

local folder
setup(function()
  folder = crun.io.tmpdir()
  for _, words in ipairs { { "lr=0.1" }, { "lr=0.2", "seed=2" }, { "signal_at=3" } } do
    shell.run({ "--progress", "none", shell.scripts .. "/train.lua", table.unpack(words) },
      { folder = folder })
  end
end)
teardown(function() crun.io.remove_tree(folder) end)

local function run(...) return shell.run({ ... }, { folder = folder }) end

local function says(text, code, ...)
  local r = run(...)
  assert.equal(code, r.code, r.all)
  assert.truthy(r.all:find(text, 1, true), r.all)
  return r
end

describe("crun help", function()
  it("fits one screen", function()
    local r = says("usage: crun [options] SCRIPT.lua", 0, "--help")
    assert.is_true(select(2, r.out:gsub("\n", "")) <= 50)
    assert.equal(r.out, run("help").out)
  end)

  it("prints any descriptor of any room", function()
    for room, names in pairs(crun.describe()) do
      for _, name in ipairs(names) do
        local text = require("crun.cli").describe(room, name)
        assert.truthy(text:find("^" .. name .. " %-") and text:find("crun." , 1, true), name)
      end
    end
    local r = says("crun.losses.contrastive { options } (embeddings, labels", 0, "help", "loss",
      "contrastive")
    assert.truthy(r.out:find("formula") and r.out:find("CVPR 2006") and r.out:find("margin = 1"))
    assert.equal(r.out, run("help", "contrastive").out)
  end)

  it("prints the comments of any module written in Lua", function()
    says("run:save_best(value, mode)", 0, "help", "run")
    says("sampler.pk(opts)", 0, "help", "sampler")
    says("130  stopped at once", 0, "help", "exit")
  end)

  it("and every command answer a wrong word without a trace of their own code", function()
    for _, words in ipairs { { "bench", "nosuch" }, { "docs", "nosuch" }, { "bench", "--threads", "x" } } do
      assert.is_nil(says("crun: " .. words[1] .. ": ", 2, table.unpack(words)).all:find("stack traceback", 1, true))
    end
  end)

  it("names the nearest topic", function()
    says("did you mean 'contrastive'?", 2, "help", "loss", "contrastve")
    says("there is no help on 'contrastve'; did you mean 'contrastive'?", 2, "help", "contrastve")
  end)
end)

describe("crun with a word it does not know", function()
  it("names the nearest command and script", function()
    says("crun: there is no command or script 'resum'; did you mean the command 'resume'?", 2,
      "resum")
    crun.io.mkdir(folder .. "/experiments")
    crun.io.write_file(folder .. "/experiments/triplet_faces.lua", "")
    says("'triplet_face'; did you mean the script experiments/triplet_faces.lua?", 2,
      "triplet_face")
    says("'nonsense'; `crun help` lists the commands", 2, "nonsense")
  end)

  it("knows the container runtime's words", function()
    says("container runtime", 2, "create", "x")
    says("container runtime", 2, "state", "x")
    says("container runtime", 2, "--root", "/run/crun", "list")
    says("container runtime", 2, "--systemd-cgroup", "run", "x")
    says("container runtime", 2, "--log-format=json", "start", "x")
    says("container runtime", 2, "spec")
  end)

  it("refuses an unknown option", function() says("unrecognised option '--nope'", 2, "--nope") end)
end)

describe("crun runs", function()
  it("lists states, what differs, the best value starred", function()
    local r = says("stopped", 0, "runs")
    local lines = {}
    for line in r.out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal(4, #lines)
    assert.truthy(lines[1]:find("run +state +best/value +lr +seed +signal_at"), lines[1])
    assert.truthy(lines[2]:find("stopped", 1, true))        -- the newest first
    assert.equal(1, select(2, r.out:gsub("%*", "")))
    assert.is_nil(r.out:find("\27", 1, true))
  end)

  it("filters", function()
    assert.equal(2, select(2, run("runs", "state:done", "seed=1").out:gsub("\n", "")))
    assert.equal("no run fits\n", run("runs", "seed=9").err)
    says("filters are KEY=VALUE", 2, "runs", "nothing")
    says("unknown option '--jsn'; did you mean '--json'?", 2, "runs", "--jsn")
  end)

  it("speaks JSON", function()
    local list = crun.io.json_decode(run("runs", "--json").out)
    assert.equal(3, #list)
    assert.equal(0.1, list[3].config.settings.lr)
  end)

  it("says that there is none", function()
    says("there is no run in elsewhere/", 0, "--out", "elsewhere", "runs")
  end)
end)

describe("crun show", function()
  it("prints settings with origins, results, files", function()
    local r = says("lr = 0.1", 0, "show", "-3")
    assert.truthy(r.out:find("lr = 0.1 +command line"))
    assert.truthy(r.out:find("test/score", 1, true) and
      r.out:find("checkpoints/last.safetensors", 1, true))
    says("go on with: crun resume runs/train", 0, "show", "-1")
    assert.equal("done", crun.io.json_decode(run("show", "-2", "--json").out).state)
  end)

  it("finds a run by its folder, its name, its ending", function()
    local id = crun.io.json_decode(run("runs", "--json").out)[1].id
    for _, word in ipairs { "runs/" .. id, "runs/" .. id .. "/", id, id:sub(-6) } do says(id, 0,
        "show", word) end
    says("fits 3 runs", 2, "show", "train")
    says("there are 3 runs in runs/, so -1 to -3 are known", 2, "show", "-4")
    says("needs a run", 2, "show")
    says("is not a run folder", 2, "show", "./runs")
  end)
end)

describe("crun doctor", function()
  it("says one line for each thing", function()
    local r = says("ok  crun", 0, "doctor")
    for _, name in ipairs { "processor", "threads", "BLAS", "memory", "library", "modules", "runs",
        "name" } do
      assert.truthy(r.out:find("\n%S+ +" .. name .. " +%S"), name .. "\n" .. r.out)
    end
  end)
end)

describe("crun types", function()
  it("prints stubs that are Lua", function()
    local r = says("function Tensor:relu()", 0, "types")
    assert.truthy(load(r.out))
    assert.truthy(r.out:find("---@field margin? number", 1, true))
    assert.truthy(r.out:find("function Run:epochs(n) end", 1, true))
  end)
end)

describe("crun --version", function()
  it("names both versions and the arithmetic", function()
    says(("crun %s"):format(crun.version), 0, "--version")
    says("float64", 0, "--double", "--version")
    assert.equal(crun.version, crun.io.json_decode(run("--version", "--json").out).crun)
  end)
end)

describe("a table", function()
  it("aligns numbers right, stars the best, ties included", function()
    local text = ui.table { columns = { "method", "map@r", "eer" },
      best = { ["map@r"] = "max", eer = "min" }, rows = {
      { "pixels", 0.3, 0.25 }, { "network", 0.91234, 0.1 }, { "twin", 0.9124, 0.3 }, { "none" } } }
    assert.equal(table.concat({
      "method   map@r     eer",
      "pixels   0.300   0.250",
      "network  0.912*  0.100*",
      "twin     0.912*  0.300",
      "none         -       -" }, "\n"), text)
  end)

  it("measures and cuts by columns, not bytes", function()
    assert.equal(4, ui.width("Müß…"))
    assert.equal(4, ui.width("日本"))
    assert.equal(2, ui.width("\27[1mab\27[0m"))
    assert.equal("Mü…", ui.cut("Müßig", 3))
    assert.equal("日…", ui.cut("日本語", 4))
  end)

  it("shows numbers in the fewest digits that read back", function()
    assert.equal("0.1", ui.number(0.1))
    assert.equal("1.0", ui.number(1.0))
    assert.equal("0.3333333333333333", ui.number(1 / 3))
    assert.equal("1e-10", ui.number(1e-10))
    assert.equal("7", ui.number(7))
    assert.equal("1:01:15", ui.duration(3675))
  end)
end)
