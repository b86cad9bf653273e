local crun = require "crun"
local process, cio = crun.process, crun.io

local folder
before_each(function() folder = cio.tmpdir() end)
after_each(function() cio.remove_tree(folder) end)

local function ended(pid)
  for _ = 1, 500 do
    local how = process.poll(pid)
    if how ~= nil then return how end
    process.sleep(0.01)
  end
  process.kill(pid, "KILL")
  error("it did not end")
end

local function sh(text, opts)
  opts = opts or {}
  opts.command = { "/bin/sh", "-c", text }
  opts.output = opts.output or folder .. "/out"
  return process.spawn(opts)
end

describe("a process", function()
  it("has its own folder, environment and output, and an end", function()
    local how = ended(sh("echo $COLOUR $HOME; pwd; echo wrong >&2; exit 3", { env = { COLOUR = "red" }, folder = "/" }))
    assert.equal(3, how.code)
    assert.is_nil(how.signal)
    assert.is_true(how.user >= 0 and how.peak_mb > 0)
    assert.equal(("red %s\n/\nwrong\n"):format(os.getenv("HOME")), cio.read_file(folder .. "/out"))
  end)
  it("is told of once", function()
    local pid = sh("exit 0")
    assert.equal(0, ended(pid).code)
    assert.is_false(process.poll(pid))
  end)
  it("leads its own group and inherits no file", function()
    local lock <close> = process.lock(folder .. "/lock", "mine")
    local file <close> = io.open(folder .. "/open", "w")
    assert.equal(0, ended(sh("cd /proc/$$/fd; echo *; cut -d' ' -f5 /proc/$$/stat; echo $$")).code)
    local fds, group, pid = cio.read_file(folder .. "/out"):match("^([%d ]+)\n(%d+)\n(%d+)\n$")
    assert.equal(pid, group)
    assert.truthy(fds:find("^0 1 2 ?%d*$"), fds)              -- the shell has one of its own
    assert.truthy(lock and file)
  end)
  it("is ended by signals, which the result names", function()
    local pid = sh("sleep 30")
    process.sleep(0.05)
    assert.is_true(process.kill(pid, "KILL", true))
    assert.equal(9, ended(pid).signal)
    assert.is_false(process.kill(pid, "KILL"))
  end)
  it("can be looked at", function()
    local pid = sh("sleep 30")
    local seen = process.look(pid)
    assert.equal(cio.getpid(), seen.parent)
    assert.is_true(seen.start > 0 and seen.rss_mb >= 0)
    process.kill(pid, "KILL", true)
    ended(pid)
    assert.is_nil(process.look(pid))
  end)
  it("that cannot be started is an error with the reason", function()
    local ok, message = pcall(process.spawn, { command = { folder .. "/none" } })
    assert.is_false(ok)
    assert.truthy(message:find("No such file", 1, true), message)
    for _, opts in ipairs { {}, { command = {} }, { command = { 3 } }, { command = { "/bin/true" }, output = 3 },
        { command = { "/bin/true" }, env = { 1 } } } do
      assert.is_false((pcall(process.spawn, opts)))
    end
    assert.is_false((pcall(process.kill, 0, "KILL")))
    assert.is_false((pcall(process.kill, -1, "KILL")))
  end)
end)

describe("a lock", function()
  it("has one holder, whose words the others read", function()
    local path = folder .. "/lock"
    local mine = process.lock(path, "me, since today")
    local other, holder = process.lock(path, "you")
    assert.is_nil(other)
    assert.equal("me, since today", holder)
    mine:release()
    mine:release()
    other = process.lock(path, "you")
    assert.truthy(other)
    other:release()
  end)
  it("goes with its holder, however that ends", function()
    local path = folder .. "/lock"
    local pid = process.spawn { command = { process.executable, "-e", ("lock = require('crun').process.lock(%q, 'child') require('crun').process.sleep(30)"):format(path) },
      output = folder .. "/out" }
    for _ = 1, 300 do
      process.sleep(0.01)
      if cio.exists(path) and cio.read_file(path) == "child" then break end
    end
    assert.is_nil((process.lock(path)))
    process.kill(pid, "KILL")
    ended(pid)
    local mine <close> = process.lock(path)
    assert.truthy(mine)
  end)
  it("in a folder that is not there is an error", function()
    assert.is_false((pcall(process.lock, folder .. "/none/lock")))
  end)
end)
