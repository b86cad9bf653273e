# Prints the cases of scipy_cases.json, which tests/stats_spec.lua replays:  python3 tests/stats/scipy_cases.py > tests/stats/scipy_cases.json
import json, numpy as np
from scipy import stats, special
from scipy.optimize import brentq

def quantile(level, df):          # scipy's own ppf is off by up to 4e-9 here; its sf is not
    return brentq(lambda t: 2*stats.t.sf(t, df) - (1 - level), 1e-3, 1e6, xtol=1e-300, rtol=1e-15)

rng = np.random.default_rng(5)
out = {"scipy": __import__("scipy").__version__, "beta": [], "p": [], "quantile": [], "mean": [], "paired": [], "holm": []}
for a in (0.5, 1, 1.5, 2.5, 10, 50.5):
    for b in (0.5, 1, 3, 20):
        for x in (1e-6, 0.01, 0.2, 0.5, 0.77, 0.99, 1-1e-9):
            out["beta"].append([x, a, b, float(special.betainc(a, b, x))])
for df in (1, 2, 3, 4, 9, 19, 30, 119, 1000):
    for t in (0.0, 1e-5, 0.3, 1.0, 2.5, 13.4, 77.0, 1e4):
        out["p"].append([t, df, float(2*stats.t.sf(t, df))])
    for level in (0.5, 0.9, 0.95, 0.99, 0.999):
        out["quantile"].append([level, df, quantile(level, df)])
for n in (2, 3, 5, 10, 40):
    for s in (1e-3, 1.0, 1e3):
        v = (rng.normal(0.7, 0.1, n)*s)
        half = quantile(0.95, n-1)*stats.sem(v); lo, hi = v.mean() - half, v.mean() + half
        out["mean"].append({"values": v.tolist(), "mean": float(v.mean()), "sd": float(v.std(ddof=1)), "low": float(lo), "high": float(hi)})
        w = v + rng.normal(0.02*s, 0.05*s, n)
        r = stats.ttest_rel(v, w)
        d = v - w
        half = quantile(0.95, n-1)*stats.sem(d); lo, hi = d.mean() - half, d.mean() + half
        out["paired"].append({"a": v.tolist(), "b": w.tolist(), "t": float(r.statistic), "p": float(r.pvalue), "low": float(lo), "high": float(hi)})
# Holm by its definition: p_(i) corrected = max over j <= i of min(1, (m - j + 1) p_(j))
for m in (1, 2, 5, 9, 20):
    p = rng.uniform(0, 1, m)**3
    if m == 5: p[2] = p[3]
    order = np.argsort(p, kind="stable"); s = p[order]
    adj = [max(min(1.0, (m-j)*s[j]) for j in range(i+1)) for i in range(m)]
    c = np.empty(m); c[order] = adj
    out["holm"].append({"p": p.tolist(), "corrected": c.tolist()})
print(json.dumps(out))
