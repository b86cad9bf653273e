"""A web server on loopback for the tests of `crun data fetch`: serves a folder, honours Range, and can
drop a connection half way. usage: range_server.py FOLDER PORT_FILE LOG_FILE"""
import http.server
import os
import re
import sys

folder, port_file, log_file = sys.argv[1:4]
dropped = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        with open(log_file, "a") as log:
            log.write("%s %s\n" % (self.path, self.headers.get("Range", "-")))
        name = self.path.split("?")[0].lstrip("/")
        path = os.path.join(folder, name.replace("drop-", ""))
        if name.startswith("moved-"):
            self.send_response(302)
            self.send_header("Location", "/" + name[6:])
            self.end_headers()
            return
        if not os.path.isfile(path):
            self.send_error(404)
            return
        with open(path, "rb") as file:
            data = file.read()
        match = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        start = int(match.group(1)) if match else 0
        if start >= len(data) and start > 0:
            self.send_error(416)
            return
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if match:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))
        self.end_headers()
        end = len(data)
        if name.startswith("drop-") and name not in dropped:
            dropped.add(name)
            end = start + (len(data) - start) // 2
        self.wfile.write(data[start:end])

    def log_message(self, *words):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(port_file + ".new", port_file)
server.serve_forever()
