local crun = require "crun"
local shell = require "scripts.shell"
local sampler = crun.sampler

local images, labels = crun.data.faces { identities = 12, per_identity = 5, size = 24 }
local changes = { flip = 0.5, shift = 0.1, rotation = 15, contrast = 0.3, blur = 1, erase = 0.5,
  crop = { 20, 16 }, crop_at = "random", mean = 0.5, std = 0.25, seed = 3 }

local function batches(more)
  local o = { labels = labels, p = 4, k = 3, seed = 7, batches = 5 }
  for k, v in pairs(more or {}) do o[k] = v end
  return sampler.pk(o)
end

local function expected(rows, epoch)
  local o = { epoch = epoch }
  for k, v in pairs(changes) do o[k] = v end
  return crun.data.augment(images, rows, o)
end

local function loader(more)
  local o = { images = images, sampler = batches(), augment = changes }
  for k, v in pairs(more or {}) do o[k] = v end
  return crun.loader(o)
end

describe("loader", function()
  it("gives the bits of augment for any number of workers and of batches ahead", function()
    for _, more in ipairs { { workers = 0 }, { workers = 1, ahead = 1 }, { workers = 3, ahead = 7 } } do
      local plain, l <close> = batches(), loader(more)
      for epoch = 1, 3 do
        local n = 0
        for x, rows, number in l do
          n = n + 1
          local want = plain()
          assert.same(want:totable(), rows:totable())
          assert.equal(n, number)
          assert.same({ 12, 1, 20, 16 }, x:shape())
          assert.is_true(crun.allclose(expected(rows, epoch), x, 0, 0))
        end
        assert.equal(5, n)
        assert.is_nil((plain()))
      end
    end
  end)

  it("is byte / 255 without changes, and hands out each batch as a tensor of its own", function()
    local l <close> = crun.loader { images = images, sampler = batches(), workers = 2 }
    local kept = {}
    for x, rows in l do kept[#kept + 1] = { x, rows } end
    for _, one in ipairs(kept) do
      assert.is_true(crun.allclose(images:index_select(one[2], 1):real() / 255, one[1], 0, 0))
    end
  end)

  it("changes a row that comes twice in a batch in two ways", function()
    local l <close> = crun.loader { images = images, augment = changes,
      sampler = sampler.views { n = #images, batch = 6, seed = 4 } }
    for x, rows in l do
      local samples = crun.cat({ rows:narrow(1, 1, 6), rows:narrow(1, 7, 6) + #images }, 1)
      local o = { epoch = 1 }
      for k, v in pairs(changes) do o[k] = v end
      assert.is_true(crun.allclose(crun.data.augment(images, rows, samples, o), x, 0, 0))
      assert.is_false(crun.allclose(x:narrow(1, 1, 6), x:narrow(1, 7, 6), 0, 0))
    end
  end)

  it("has the cursor of its sampler, wherever it is put", function()
    local s = batches()
    local l <close> = loader { sampler = s, workers = 2, ahead = 3 }
    l() l()
    assert.same({ epoch = 1, batch = 2 }, s:state())        -- what was handed out, not what was made
    assert.same({ epoch = 1, batch = 2 }, l:state())
    assert.equal(5, #l)
    l:load { epoch = 4, batch = 3 }
    local other = batches():load { epoch = 4, batch = 3 }
    local x, rows = l()
    assert.same(other():totable(), rows:totable())
    assert.is_true(crun.allclose(expected(rows, 4), x, 0, 0))
    s:start(2)                                              -- the sampler moved by itself
    x, rows = l()
    assert.same(batches():start(2)():totable(), rows:totable())
    assert.is_true(crun.allclose(expected(rows, 2), x, 0, 0))
    l:start(1)
    local n = 0
    for _ in l do n = n + 1 if n == 1 then break end end
    for _ in l do n = n + 1 end                             -- left early: the next `for` goes on
    assert.equal(5, n)
    assert.same({ epoch = 2, batch = 0 }, s:state())
  end)

  it("may be left with work under way", function()
    for i = 1, 30 do
      local l = loader { workers = i % 4, ahead = 1 + i % 5 }
      for _ = 1, i % 6 do l() end
      if i % 2 == 0 then l:close() end
    end
    collectgarbage()
    local l = loader {}
    l:close()
    assert.has_error(function() l() end)
  end)

  it("stops and goes on in a run with the same bits, whoever keeps the cursor", function()
    local folder = crun.io.tmpdir()
    local function weights(...)
      local code = shell.run({ "--progress", "none", shell.scripts .. "/loader_train.lua", ... }, { folder = folder }).code
      if code == 75 then
        local r = shell.run({ "--progress", "none", "resume", "-1" }, { folder = folder })
        assert.equal(0, r.code, r.err)
      else
        assert.equal(0, code)
      end
      local sum = crun.io.sha256_file(shell.only_run(folder) .. "/checkpoints/last.safetensors")
      crun.io.remove_tree(folder .. "/runs")
      return sum
    end
    for _, keep in ipairs { "loader", "sampler", "nobody" } do
      local whole = weights("keep=" .. keep)
      for _, step in ipairs { 1, 5, 8 } do
        assert.equal(whole, weights("keep=" .. keep, "signal_at=" .. step))
      end
    end
    crun.io.remove_tree(folder)
  end)

  it("says how long it was waited for", function()
    local l <close> = loader {}
    assert.same({ 0, 0 }, { l:waiting() })
    for _ in l do end
    local seconds, share = l:waiting()
    assert.is_true(seconds >= 0 and share >= 0 and share <= 1)
  end)

  it("decodes files to the bytes of an image folder", function()
    local folder = crun.io.tmpdir()
    local put, jpeg = {}, "tests/fuzz/corpus/jpeg/"
    for i, name in ipairs { "grey", "colour", "progressive", "colour", "grey", "progressive" } do
      put[("p%d/%d.jpg"):format((i + 1) // 2, i)] = crun.io.read_file(jpeg .. name)
    end
    require("packed").put(folder, put)
    for _, size in ipairs { 8, 16, { 30, 12 } } do
      local set = crun.imagefolder(folder, { size = size })
      for _, workers in ipairs { 0, 2 } do
        local l <close> = crun.loader { files = set.files, size = size, workers = workers, augment = { flip = 0.5, seed = 3 },
          sampler = sampler.shuffled { n = 6, batch = 4, seed = 2 } }
        local n = 0
        for x, rows in l do
          n = n + #rows
          assert.is_true(crun.allclose(crun.data.augment(set.images, rows, { flip = 0.5, seed = 3, epoch = 1 }), x, 0, 0))
        end
        assert.equal(6, n)
      end
    end
    local files = crun.imagefolder(folder).files
    crun.io.write_file(files[4], crun.io.read_file(files[4]):sub(1, 200))
    local l <close> = crun.loader { files = files, workers = 2, sampler = sampler.sequential { n = 6, batch = 6 } }
    local ok, message = pcall(l)
    assert.is_false(ok)
    assert.truthy(message:find(files[4] .. ": JPEG: ", 1, true), message)
    crun.io.remove(files[1])
    assert.matches("cannot read .*1.jpg': No such file", select(2, pcall(l)))
    crun.io.remove_tree(folder)
  end)

  it("works on colour images with saturation, of a view that is not packed", function()
    local colour = crun.stack({ images:select(2, 1), images:select(2, 1):flip(2), images:select(2, 1) }, 2)
    local view = colour:narrow(1, 3, 40)
    local s = sampler.shuffled { n = 40, batch = 7, seed = 2 }
    local l <close> = crun.loader { images = view, sampler = s, augment = { saturation = 0.8, seed = 5 } }
    for x, rows in l do
      assert.is_true(crun.allclose(crun.data.augment(view, rows, { saturation = 0.8, seed = 5, epoch = 1 }),
        x, 0, 0))
    end
  end)

  it("refuses what cannot be", function()
    local function message(o) return select(2, pcall(crun.loader, o)) end
    local s = batches()
    assert.matches("unknown option 'imags'; did you mean 'images'", message { imags = images, sampler = s })
    assert.matches("augment takes no epoch", message { images = images, sampler = s, augment = { epoch = 3 } })
    assert.matches("data.augment: unknown option 'flop'", message { images = images, sampler = s, augment = { flop = 1 } })
    assert.matches("crop of 99 x 99 does not fit", message { images = images, sampler = s, augment = { crop = 99 } })
    assert.matches("images must be uint8", message { images = images:real(), sampler = s })
    assert.matches("sampler must be one of crun.sampler, got a function", message { images = images, sampler = print })
    assert.matches("hang on what was learnt", message { images = images,
      sampler = sampler.magnet { labels = labels } })
    assert.matches("takes images or files, one of them", message { sampler = s })
    assert.matches("takes images or files", message { images = images, files = { "a" }, sampler = s })
    assert.matches("files%[1%] must be a path, got a table", message { files = { {} }, sampler = s })
    assert.matches("files is empty", message { files = {}, sampler = s })
    assert.matches("size goes with files", message { images = images, size = 8, sampler = s })
    local l <close> = crun.loader { images = images:narrow(1, 1, 10), sampler = s }
    assert.has_error(function() for _ in l do end end)
  end)
end)
