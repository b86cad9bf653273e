--- crun: tensors, gradients, losses, and what an experiment needs around them.
-- `require "crun"` returns the core written in C; the modules written in Lua (nn, optim, config, ...) are
-- loaded when they are first named, so a script that needs none of them starts in milliseconds.
local crun = require "crun.core"

-- arguments after the script, as they were given
crun.args = {}
for i = 1, #(arg or {}) do crun.args[i] = arg[i] end

crun["repeat"] = crun.tile

--- Runs f(...) and frees every tensor it made but those it returns.
-- Results may be tensors or tables of tensors (one level).
function crun.scope(f, ...)
  local guard <close> = crun.open_scope()
  return guard:keep(f(...))
end

local optional = {
  nn = true, optim = true, schedule = true, sampler = true, eval = true, pca = true, plot = true,
  inspect = true, config = true, run = true, checkpoint = true, progress = true, ui = true,
  imagefolder = true, options = true,
}

return setmetatable(crun, {
  __index = function(self, name)
    if name == "start" then                                   -- crun.start(cfg) is run.start
      self.start = require("crun.run").start
      return self.start
    end
    if not optional[name] then return nil end
    local module = require("crun." .. name)
    rawset(self, name, module)
    return module
  end,
})
