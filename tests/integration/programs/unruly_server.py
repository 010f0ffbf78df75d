"""An HTTP server with bad manners, for tests of launchers. GET /self tells how it was started."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    never_ready = False

    def do_GET(self) -> None:
        status, body = 200, b"{}"
        if self.path == "/health" and self.never_ready:
            status = 503
        if self.path == "/version":
            body = b'{"version": "7.1"}'
        if self.path == "/self":
            told = {
                "argv": sys.argv[1:],
                "env": dict(os.environ),
                "affinity": sorted(os.sched_getaffinity(0)),
                "cwd": os.getcwd(),
                "pid": os.getpid(),
            }
            body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rank0", default="")
    parser.add_argument("--files", default="")
    parser.add_argument("--die", type=int, help="say something and exit with this code")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--grandchild", action="store_true", help="start one in a session of its own")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM, grandchildren too")
    parser.add_argument("--bind-after", type=float, default=0.0)
    options = parser.parse_args()
    sys.stdout.write("unruly server: starting\n")
    sys.stdout.flush()
    if options.die is not None:
        sys.stderr.write("unruly server: I give up\n")
        sys.exit(options.die)
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.grandchild:
        # Through a child that ends at once, so that the grandchild is an orphan too.
        sleeper = "import subprocess, sys; subprocess.Popen(['sleep', '300'], start_new_session=True)"
        subprocess.run([sys.executable, "-c", sleeper], check=True)
    time.sleep(options.bind_after)
    Handler.never_ready = options.never_ready
    ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
