local shell = require "scripts.shell"

-- the prompt reads standard input with -i too
local function prompt(text) return shell.run({ "-i" }, { input = text }) end

describe("the prompt", function()
  it("prints values readably", function()
    local r = prompt "1 + 1\n{ b = 1, a = { 2, 'x' } }\nnil\n1, 2\ncrun.zeros(2, 2)\n_:numel()\n"
    assert.equal(0, r.code)
    assert.truthy(r.out:find("> 2\n", 1, true), r.out)
    assert.truthy(r.out:find('{ a = { 2, "x" }, b = 1 }', 1, true), r.out)
    assert.truthy(r.out:find("1\t2", 1, true), r.out)
    assert.truthy(r.out:find("[2, 2]", 1, true), r.out)
    assert.truthy(r.out:find("> 4\n", 1, true), r.out)
  end)

  it("keeps globals, and takes statements over several lines", function()
    local r = prompt "x = 3\nfor i = 1, 2 do\nx = x + i\nend\nx\n"
    assert.truthy(r.out:find(">> >> > 6", 1, true), r.out)
  end)

  it("survives errors and says them without its own frames", function()
    local r = prompt "error 'oops'\nx = = 1\nlocal function f() error('deep') end f()\n'still here'\n"
    assert.equal(0, r.code)
    assert.truthy(r.err:find("prompt:1: oops", 1, true), r.err)
    assert.truthy(r.err:find("unexpected symbol near '='", 1, true), r.err)
    assert.is_nil(r.err:find("repl.lua", 1, true), r.err)
    assert.truthy(r.out:find('"still here"', 1, true))
  end)

  it("helps with ?name", function()
    local r = prompt "?contrastive\n? loss contrastive\n?nothingatall\n"
    assert.equal(2, select(2, r.out:gsub("crun%.losses%.contrastive { options }", "")), r.out)
    assert.truthy(r.out:find("there is no help on 'nothingatall'", 1, true))
  end)

  it("goes on after Ctrl-C in a loop", function()
    local r = prompt(("io.popen('kill -INT %s'):close() while true do end\n'after'\n"):format("'..crun.io.getpid()..'"))
    assert.truthy(r.err:find("interrupted", 1, true), r.err)
    assert.truthy(r.out:find('"after"', 1, true), r.out)
    assert.equal(0, r.code)
  end)
end)

