"""A receiver of Tautline's hooks for Python. HOOK_SECRET is one of `secrets` of the section, PORT where it listens."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["HOOK_SECRET"])
# In your database, written in the same transaction as the effect.
answers = {}
lock = threading.Lock()


def answer(question):
    kind = question["kind"]
    if kind in ("connect", "refresh"):
        return {"result": {"user": "ali", "subs": ["news"]}}
    if kind == "subscribe":
        if question["user"] is None:
            return {"error": {"code": "permission_denied", "message": "log in"}}
        return {"result": {}}
    if kind == "publish":
        return {"result": {"data": {**question["data"], "by": question["user"]}}}
    if kind == "call" and question["method"] == "order.create":
        return {"result": {"data": {"order": len(answers) + 1, "sku": question["data"]["sku"]}}}
    return {"error": {"code": "not_found", "message": "there is no such method"}}


def answer_once(question):
    # A repetition has the same id: it gets the same answer, and has no effect.
    with lock:
        known = answers.get(question["id"]) or answer(question)
        if question["kind"] == "call":
            answers[question["id"]] = known
        return known


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            question = webhook.verify(body, headers)
        except WebhookVerificationError:
            return self.reply(401, b"")
        self.reply(200, json.dumps(answer_once(question)).encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8082"))), Receiver)
print(f"listening on {server.server_address[1]}", flush=True)
server.serve_forever()
