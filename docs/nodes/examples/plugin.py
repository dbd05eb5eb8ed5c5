"""A cleanup plugin in 30 lines: forgets a node, once. Run it with the address and the port to listen on."""
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
FORGOTTEN = set()  # A real plugin asks the system that it cleans, so that a restart forgets nothing.

class Plugin(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(getattr(self, request["call"])(request)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def describe(self, request):
        return {"name": "forget-the-node", "version": "1.0.0", "settingsSchema": {"additionalProperties": False}}
    def check(self, request):
        return {"healthy": True}
    def plan(self, request):
        return {"steps": [f"would forget {request['node']['name']}"]}
    def execute(self, request):
        if request["idempotencyKey"] in FORGOTTEN:
            return {"status": "done", "message": "it was forgotten before"}
        if "asked" not in request["state"]:
            return {"status": "progress", "percent": 50, "retryAfterSeconds": 1, "state": {"asked": True}}
        FORGOTTEN.add(request["idempotencyKey"])
        return {"status": "done", "message": f"forgot {request['node']['name']}"}

server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Plugin)
print("listening on port", server.server_port, flush=True); server.serve_forever()
