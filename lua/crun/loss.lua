local M = { defined = {} }
return M
