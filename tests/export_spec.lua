local crun = require "crun"
local compare = require "crun.compare"
local export = require "crun.export"
local fixture = require "scripts.sweep_fixture"
local runs = require "crun.runs"
local shell = require "scripts.shell"
local cio = crun.io

local folder, list
before_each(function()
  folder = cio.tmpdir()
  for i = 1, 3 do
    fixture.run(("%s/r%d"):format(folder, i), {
      settings = { loss = i == 3 and 'a "b", c' or "triplet", seed = i, lr = 0.5, widths = { 1, 2 } },
      summary = { ["test/map@r"] = i == 2 and 0 / 0 or i / 8, steps = 4 },
      record = { started = 0.5 + i }, log = { { step = 1, ["train/loss"] = 0.5 } } })
  end
  list = {}
  for i = 1, 3 do list[i] = runs.open(("%s/r%d"):format(folder, i)) end
end)
after_each(function() cio.remove_tree(folder) end)

describe("export", function()
  it("writes CSV, quoted where it must be", function()
    assert.equal("run,state,started,ended,sweep,variant,phase,trial,config.loss,config.lr," ..
      "config.seed,config.widths,steps,test/map@r\r\n" ..
      'r1,done,1.5,1010.0,,,,,triplet,0.5,1,"1,2",4,0.125\r\n' ..
      'r2,done,2.5,1010.0,,,,,triplet,0.5,2,"1,2",4,NaN\r\n' ..
      'r3,done,3.5,1010.0,,,,,"a ""b"", c",0.5,3,"1,2",4,0.375\r\n', export.csv(list))
  end)

  it("writes JSON with every line of the log", function()
    local all = cio.json_decode(export.json(list))
    assert.equal(3, #all)
    assert.equal("triplet", all[1].config.settings.loss)
    assert.same({ { step = 1, ["train/loss"] = 0.5 } }, all[1].metrics)
    assert.equal("[]\n", export.json {})
  end)

  it("writes a LaTeX table of a sweep", function()
    local path = fixture.sweep(folder, { name = "s", order = { "a_b", "c" }, variants = {
      a_b = { tune = { 0.5 }, final = { [11] = { ["test/map@r"] = 0.5 }, [12] = { ["test/map@r"] = 0.6 } } },
      c = { tune = { 0.5 }, final = { [11] = { ["test/map@r"] = 0.52 }, [12] = { ["test/map@r"] = 0.58 } } },
    } })
    local text = export.latex(compare.collect(path, { metric = "test/map@r" }))
    assert.truthy(text:find("\\begin{tabular}{lc}\n\\toprule\nvariant & test/map@r \\\\\n\\midrule\n", 1, true), text)
    assert.truthy(text:find("a\\_b & {\\boldmath$0.5500 \\pm 0.6353$} \\\\", 1, true), text)
    assert.truthy(text:find("c & \\underline{$0.5500 \\pm 0.3812$} \\\\", 1, true), text)
  end)

  it("makes a folder for TensorBoard, seeds grouped, embeddings with thumbnails", function()
    cio.mkdir(folder .. "/r1/embeddings")
    local rng = crun.rng(1, "x")
    cio.write_safetensors(folder .. "/r1/embeddings/test.safetensors", {
      embeddings = crun.randn(rng, 5, 3), labels = crun.int { 7, 7, 8, 8, 9 },
      images = crun.arange(1, 5 * 4 * 6):reshape(5, 4, 6):byte() })
    cio.events(folder .. "/r1"):scalar("train/loss", 0.5, 1)
    local to = folder .. "/board"
    assert.equal(3, export.tensorboard(list, to))
    local function events_of(path)
      local text = ""
      for _, name in ipairs((cio.list(path))) do
        if name:find "^events" then text = text .. cio.read_file(path .. "/" .. name) end
      end
      return text
    end
    assert.truthy(events_of(to):find("_hparams_/experiment", 1, true))
    local one, two, three = events_of(to .. "/r1"), events_of(to .. "/r2"), events_of(to .. "/r3")
    assert.truthy(one:find("train/loss", 1, true) and one:find("test/map@r", 1, true))
    assert.truthy(one:find("_hparams_/session_start_info", 1, true) and
      one:find("_hparams_/session_end_info", 1, true))
    -- the group is the hash of all settings but the seed
    local function group(text)
      for hash in text:gmatch "%f[%x]%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%f[%X]" do return hash end
    end
    assert.truthy(group(one))
    assert.equal(group(one), group(two))
    assert.not_equal(group(one), group(three))

    assert.equal([[
embeddings {
  tensor_name: "test"
  tensor_path: "test.tsv"
  metadata_path: "test_labels.tsv"
  sprite { image_path: "test_sprite.png" single_image_dim: 6 single_image_dim: 4 }
}
]], cio.read_file(to .. "/r1/projector_config.pbtxt"))
    assert.equal("7\n7\n8\n8\n9\n", cio.read_file(to .. "/r1/test_labels.tsv"))
    local tsv = cio.read_file(to .. "/r1/test.tsv")
    assert.equal(5, select(2, tsv:gsub("\n", "")))
    assert.equal(10, select(2, tsv:gsub("\t", "")))
    local sprite = cio.read_image(to .. "/r1/test_sprite.png")
    local shape = sprite:shape()
    assert.same({ 12, 18 }, { shape[#shape - 1], shape[#shape] })    -- three a row, square
    assert.equal(2 * 24 + 1, sprite:reshape(12, 18):totable()[1][13])   -- the third image
    assert.equal(3 * 24 + 1, sprite:reshape(12, 18):totable()[5][1])    -- the fourth, below
    assert.error_matches(function() export.tensorboard(list, to) end, "is there already")
  end)
end)

describe("crun export", function()
  it("finds runs, writes to a file, and says what it takes", function()
    local function run(...) return shell.run({ "export", ... }, { folder = folder }) end
    local r = run(folder .. "/r1", folder .. "/r2", "-o", "x.csv")
    assert.equal(0, r.code, r.all)
    assert.equal(export.csv { list[1], list[2] }, cio.read_file(folder .. "/x.csv"))
    r = run(folder .. "/r1", "--format", "xml")
    assert.equal(2, r.code)
    assert.truthy(r.err:find("--format is csv, json, latex or tensorboard, got 'xml'", 1, true))
    assert.truthy(run().err:find("export needs a sweep, or runs", 1, true))
  end)
end)
