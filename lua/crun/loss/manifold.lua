--- Manifold similarity loss, composed: rows are compared through a random walk over batch and proxies.
--
--   S = similarities of the B rows and K proxies;   S' = D^-1/2 S D^-1/2, its diagonal 0, D = |row sums of S|
--   F = (1 - alpha) (I - alpha S')^-1, the columns of the proxies
--   intrinsic   log(1 + sum_k e^(F_ik - F_ic + margin)),     c the proxy of row i
--   context     the same with <F_i, F_k> for F_ik, F_k the row of proxy k
--   loss        mean over rows of intrinsic + lambdaC context
--
-- The second argument says the proxy of each row, 1 .. K. Proxies [K D] are a parameter: give
-- { proxies = tensor } or { K = , dim = }. Time (B + K)^3.
-- Aziere, Todorovic, "Ensemble deep manifold similarity learning using hard proxies", CVPR 2019.
local crun = require "crun"

return {
  name = "manifold", distance = "cosine", similarity = true, reducer = "mean", native = false,
  options = {
    K = { "count", 50 }, dim = "count?", proxies = "tensor?", rng = "rng?", lambdaC = { "number", 1 },
    alpha = { "number", 0.8, above = 0, most = 0.999999 }, margin = { "number", 5e-4 },
  },
  init = function(self)
    local proxies = self.proxies
    if not proxies then
      if not self.dim then crun.fail("losses.manifold", "give proxies, or dim (and K)") end
      proxies = crun.rand(self.rng or crun.rng(1, "losses.manifold"), self.K, self.dim)
    end
    self._parameters.proxies = crun.nn.parameter(proxies)
  end,
  forward = function(o, c)
    c:whole_batch_only(true)
    local proxies, proxy = c.criterion._parameters.proxies, c:labels()
    local B, K = c.B, #proxies
    local n = B + K
    local S = c.distance:similarity(c.distance:matrix(crun.cat { c.z, proxies }))
    local scale = S:sum(2):abs():rsqrt()
    local walk = (S * scale:unsqueeze(1) * scale:unsqueeze(2)):masked_fill(crun.eye(n):byte(), 0)
    local F = (crun.eye(n) - walk * o.alpha):inverse():narrow(2, B + 1, K) * (1 - o.alpha)
    local rows, of_proxies = F:narrow(1, 1, B), F:narrow(1, B + 1, K)
    local k = crun.arange(1, B)
    local function soft_rank(s)
      local over = s - s:index_pairs(k, proxy):unsqueeze(2) + o.margin
      return over:logsumexp(2):softplus():mean()
    end
    local loss = soft_rank(rows)
    if o.lambdaC ~= 0 then loss = loss + soft_rank(rows:matmul(of_proxies, { transpose_y = true })) * o.lambdaC end
    return { c.reduced(loss) }
  end,
}
