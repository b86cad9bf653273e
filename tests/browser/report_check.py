"""Drives chromedriver over its HTTP API; run by report_check.sh. Standard library only."""
import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

page, pictures = sys.argv[1], sys.argv[2]
failures = []


def check(ok, what):
    print(("ok    " if ok else "FAILS ") + what)
    if not ok:
        failures.append(what)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Browser:
    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen(
            [os.environ["CHROMEDRIVER"], "--port=%d" % self.port, "--log-level=OFF"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = "http://127.0.0.1:%d" % self.port
        for _ in range(100):
            try:
                if self.call("GET", "/status")["ready"]:
                    break
            except OSError:
                time.sleep(0.1)
        binary = subprocess.check_output(["sh", "-c", "command -v " + os.environ["CHROMIUM"]], text=True).strip()
        options = {"binary": binary, "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,900",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"]}
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.url += "/session/" + made["sessionId"]

    def call(self, method, path, body=None):
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise RuntimeError(e.read().decode()[:600])

    def js(self, text, *args):
        return self.call("POST", "/execute/sync", {"script": text, "args": list(args)})

    def cdp(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def keys(self, *keys):
        actions = []
        for k in keys:
            actions += [{"type": "keyDown", "value": k}, {"type": "keyUp", "value": k}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def size(self, width, height=900):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        time.sleep(0.6)

    def picture(self, name):
        if not pictures:
            return
        os.makedirs(pictures, exist_ok=True)
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        with open(os.path.join(pictures, name + ".png"), "wb") as f:
            f.write(base64.b64decode(shot["data"]))

    def close(self):
        try:
            self.call("DELETE", "")
        except (OSError, RuntimeError):
            pass
        self.process.terminate()
        self.process.wait()


TAB, RIGHT, ENTER = "\ue004", "\ue014", "\ue007"
INKED = """return [...document.querySelectorAll('canvas')].filter(c => {
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  for (let i = 3; i < d.length; i += 4) if (d[i]) return true;
  return false;
}).length"""

b = Browser()
try:
    check(os.path.getsize(page) < 5e6, "under 5 MB: %.2f MB" % (os.path.getsize(page) / 1e6))
    b.size(1280)
    b.call("POST", "/url", {"url": "file://" + page})
    for _ in range(50):
        if b.js("return document.documentElement.dataset.ready") == "yes":
            break
        time.sleep(0.2)
    check(b.js("return document.documentElement.dataset.ready") == "yes", "the script ran to its end")
    canvases = b.js("return document.querySelectorAll('canvas').length")
    check(canvases > 0 and b.js(INKED) == canvases, "all %d charts are drawn" % canvases)
    check(b.js("return performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length") == 0,
          "nothing was fetched")
    check(b.js("return document.querySelectorAll('main table tbody tr').length") > 0, "tables are HTML")
    check(b.js("return [...document.scripts].length") == 3, "no name became a script")
    check(b.js("return document.querySelectorAll('i, iframe, object, main img, main [onclick], main [onerror]').length") == 0,
          "no name became markup")
    unnamed = b.js("""return [...document.querySelectorAll('button, select, a, canvas, [role=img]')].filter(e =>
      !(e.getAttribute('aria-label') || e.textContent.trim() || e.title || (e.labels && e.labels.length))).length""")
    check(unnamed == 0, "every control and picture has a name")
    check(b.js("const ids = [...document.querySelectorAll('[id]')].map(e => e.id); return new Set(ids).size === ids.length"),
          "ids are unique")
    check(b.js("return [...document.querySelectorAll('nav a')].every(a => document.querySelector(a.getAttribute('href')))"),
          "links of the contents lead somewhere")
    wide = b.js("return document.documentElement.scrollWidth")
    check(wide <= 1280, "1280 pixels: the page is %d wide" % wide)
    b.picture("wide")

    # the keyboard: Tab goes through every control that is shown, in the order of the page
    wanted = b.js("""return [...document.querySelectorAll('a[href], button, select, summary, [tabindex="0"]')].filter(e =>
      e.checkVisibility({ visibilityProperty: true }) && !e.hidden).map((e, i) => { e.dataset.stop = i; return i; })""")
    b.js("document.body.focus(); window.scrollTo(0, 0)")
    seen = []
    for _ in range(len(wanted) + 8):
        b.keys(TAB)
        stop = b.js("return document.activeElement && document.activeElement.dataset.stop")
        if stop is not None and int(stop) not in seen:
            seen.append(int(stop))
    check(set(seen) == set(wanted), "Tab reaches all %d controls%s" % (
        len(wanted), "" if set(seen) == set(wanted) else ", missed " + str(sorted(set(wanted) - set(seen)))[:80]))
    check(seen == sorted(seen), "in the order of the page")
    if b.js("return !!document.querySelector('#variants button')"):
        b.js("document.querySelector('#variants button').focus()")
        b.keys(ENTER)
        check(b.js("return document.querySelector('#variants button').getAttribute('aria-pressed')") == "true",
              "Enter highlights a variant")
        b.keys(ENTER)
    if b.js("return !!document.querySelector('.map canvas')"):
        b.js("document.querySelector('.map canvas').focus()")
        b.keys(RIGHT, RIGHT)
        said = b.js("return [...document.querySelectorAll('.map .tip')].filter(t => !t.hidden).map(t => t.textContent).join()")
        check(said.startswith("row ") and "class" in said, "arrow keys walk through a map: " + said)
    changed = b.js("""document.querySelectorAll('select').forEach(s => { for (const o of [...s.options].slice(0, 8)) {
      s.value = o.value; s.dispatchEvent(new Event('change')); } s.value = s.options[0].value;
      s.dispatchEvent(new Event('change')); }); return document.querySelectorAll('canvas').length""")
    check(changed > 0, "every choice can be made")

    b.size(400)
    narrow = b.js("return document.documentElement.scrollWidth")
    check(narrow <= 400, "400 pixels: the page is %d wide" % narrow)
    b.picture("narrow")
    b.size(1280)
    before = b.js("return getComputedStyle(document.body).backgroundColor")
    b.js("document.getElementById('theme').click()")
    check(b.js("return getComputedStyle(document.body).backgroundColor") != before, "the page can be dark")
    b.picture("dark")
    b.js("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")

    log = b.call("POST", "/se/log", {"type": "browser"})
    check(len(log) == 0, "no console message" + "".join("\n        " + m["message"][:200] for m in log))

    # without JavaScript
    b.cdp("Emulation.setScriptExecutionDisabled", value=True)
    b.call("POST", "/refresh")
    text = b.call("GET", "/source")
    check("<noscript>" in text and "<table>" in text, "tables stand without JavaScript")
finally:
    b.close()
print("report_check: %s" % ("%d of the checks fail" % len(failures) if failures else "all is well"))
sys.exit(1 if failures else 0)
