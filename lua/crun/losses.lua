--- crun.losses.NAME { options }: every loss by name.
local crun = require "crun"
return setmetatable({}, { __index = crun.native.losses, __pairs = function() return pairs(crun.native.losses) end })
