-- experiments/softmax_vs_metric.lua and experiments/simclr_faces.lua in their quick form: they end, with their pictures and
-- their figures, and say the same when run again.
local crun = require "crun"
local shell = require "scripts.shell"

local folder
before_each(function() folder = crun.io.tmpdir() end)
after_each(function() crun.io.remove_tree(folder) end)

local function go(name, words, threads)
  local line = { "--progress", "none", "--threads", threads or "2", ("%s/experiments/%s.lua"):format(shell.root, name),
    "--quick", "--out", "runs" .. (threads or "") }
  local r = shell.run(table.move(words or {}, 1, #(words or {}), #line + 1, line), { folder = folder })
  return r, folder .. "/runs" .. (threads or "")
end

-- a folder of 4 people with 4 images each
local function people()
  local images, labels = crun.data.faces { identities = 4, per_identity = 4, size = 16 }
  for row, person in ipairs(labels:totable()) do
    local place = ("%s/people/p%d"):format(folder, ({ 1, 2, 10, 11 })[person])  -- files in another order than people
    crun.io.mkdir(place)
    crun.io.write_png(("%s/%d.png"):format(place, row), images[row])
  end
  return "data=" .. folder .. "/people"
end

local function figures(text) return (text:gsub("run folder:[^\n]*", ""):gsub("Pictures:[^\n]*", "")) end

for name, is in pairs {
  softmax_vs_metric = { small = { "images=2,4", "seeds=2" }, folder = { "images=2", "fresh=1", "size=16", "widths=4,8" },
    pictures = { "unseen_map_r", "seen_k-nn", "seen_linear_probe" },
    says = { "less softmax", "supcon", "lengths kept", "± " } },
  simclr_faces = { small = { "batches=30,60", "seeds=2" }, folder = { "size=16", "widths=4,8", "batches=4", "temperatures=0.2" },
    pictures = { "temperature", "batch" }, says = { "raw pixels", "untrained network", "with labels", "± " } },
} do
  describe(name .. " --quick", function()
    it("ends with its figures and its pictures, and with the same bits on one thread", function()
      local r, path = go(name, is.small)
      assert.equal(0, r.code, r.err)
      for _, text in ipairs(is.says) do assert.truthy(r.out:find(text, 1, true), r.out) end
      local run = path .. "/" .. crun.io.list(path)[1]
      for _, picture in ipairs(is.pictures) do
        assert.equal(3, crun.io.read_image(("%s/pictures/%s.png"):format(run, picture)):size(1))
      end
      local again = go(name, is.small, "1")
      assert.equal(figures(r.out), figures(again.out))
    end)

    it("takes a folder of people", function()
      local r = go(name, table.move(is.folder, 1, #is.folder, 2, { people() }))
      assert.equal(0, r.code, r.err)
    end)
  end)
end
