-- The experiments on faces and on the landscape of losses, each in its quick form: seconds, finite
-- results, pictures, the same results on one thread and on two; and what they share.
local crun = require "crun"
local faces = require "crun.study.faces"
local shell = require "scripts.shell"

local folder
before_each(function() folder = crun.io.tmpdir() end)
after_each(function() crun.io.remove_tree(folder) end)

-- summary without times, and the names of the pictures
local function outcome(script, words)
  local line = { "--progress", "none", shell.root .. "/experiments/" .. script .. ".lua", "quick=true" }
  local out = folder .. "/" .. #crun.io.list(folder)
  crun.io.mkdir(out)
  local r = shell.run(table.move(words, 1, #words, #line + 1, line), { folder = out })
  assert.equal(0, r.code, r.err)
  local run = shell.only_run(out)
  local summary = shell.json(run .. "/summary.json")
  summary.seconds, summary.peak_mb = nil, nil
  for name, value in pairs(summary) do
    assert.is_true(type(value) ~= "number" or value == value and math.abs(value) < 1e6, name)
  end
  return summary, crun.io.list(run .. "/pictures")
end

describe("the experiment", function()
  for script, want in pairs {
    loss_landscape = { key = "seed, eq. 4/unlike", pictures = 5 },
    siamese_faces = { key = "chopra2005/EER %", pictures = 2 },
    eigenfaces = { key = "network/scale", pictures = 2 },
  } do
    it(script .. " gives the same results on one thread and on two, and draws pictures", function()
      local one, pictures = outcome(script, { "--threads", "1", "seeds=2" })
      assert.equal("number", type(one[want.key]), want.key)
      assert.equal(want.pictures, #pictures)
      assert.same(one, (outcome(script, { "--threads", "2", "seeds=2" })))
    end)
  end

  for _, script in ipairs { "siamese_faces", "eigenfaces" } do
    it(script .. " takes a folder of people", function()
      local images, labels = crun.data.faces { identities = 6, per_identity = 4, size = 24 }
      for i = 1, #images do
        crun.io.mkdir(folder .. "/faces/s" .. labels[i])
        crun.io.write_png(("%s/faces/s%d/%d.png"):format(folder, labels[i], i), images[i])
      end
      outcome(script, { "data=" .. folder .. "/faces", "size=24", "seeds=1" })
    end)
  end
end)

describe("study.faces", function()
  it("splits a folder in the order of its names, people in one part only", function()
    local images, labels = crun.data.faces { identities = 4, per_identity = 2, size = 16 }
    for i = 1, #images do
      local path = ("%s/s%d"):format(folder, ({ 1, 2, 10, 11 })[labels[i]])
      crun.io.mkdir(path)
      crun.io.write_png(("%s/%d.png"):format(path, i), images[i])
    end
    local train, test = faces.load { data = folder, share = 0.5, size = 16 }
    assert.same({ "s1", "s2" }, train.names)
    assert.same({ "s10", "s11" }, test.names)
    assert.near((images:narrow(1, 1, 4):real() / 255):mean():item(), train.mean, 1e-6)
  end)

  it("gives unit rows, the first view being the image itself", function()
    local train = faces.scaled(faces.generated(1, 3, { images = 2, size = 16 }))
    local function net(x) return x:reshape(#x, -1):narrow(2, 1, 20) end
    local x = (train.images:real() / 255 - train.mean) / train.std
    assert.is_true(crun.allclose(net(x):normalize(), faces.embed(net, train.images, train, 1), 1e-4, 1e-4))
    local z = faces.embed(net, train.images, train, 10)
    assert.is_true(crun.allclose(z:square():sum(2), crun.ones(6), 1e-5, 1e-5))
  end)
end)
