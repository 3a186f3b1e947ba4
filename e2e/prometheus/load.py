"""A small demo load: phones that read, call, drop and come again, beside a back end with hooks and a webhook.

Needs nothing but Python: a WebSocket is a handshake and frames of text.
"""

import base64
import json
import os
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "a-key-for-the-demo-load"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

CONFIG = """
[server]
listen = "127.0.0.1:0"
engine = "memory"
[auth]
guests = true
[api]
keys = ["%(key)s"]
[[channels]]
match = "room:*"
subscribe = "any"
[[channels]]
match = "closed:*"
[[hooks]]
name = "logins"
on = "connect"
match = "token"
url = "http://127.0.0.1:%(port)d/"
secrets = ["%(secret)s"]
allow_networks = ["127.0.0.1"]
[[hooks]]
name = "shop"
on = "call"
match = "order.*"
url = "http://127.0.0.1:%(port)d/"
secrets = ["%(secret)s"]
allow_networks = ["127.0.0.1"]
[[webhooks]]
name = "shop"
url = "http://127.0.0.1:%(port)d/events"
secrets = ["%(secret)s"]
events = ["session.*"]
allow_networks = ["127.0.0.1"]
"""


class BackEnd(BaseHTTPRequestHandler):
    """Lets everybody in but `nobody`, and takes orders."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = {} if self.path == "/events" else self.answer(question)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, question):
        if question["kind"] == "connect":
            if question.get("auth", {}).get("token") == "nobody":
                return {"error": {"code": "unauthorized", "message": "who is that?"}}
            return {"result": {"user": "ali"}}
        if question.get("method") == "order.create":
            return {"result": {"data": {"order": 1}}}
        return {"error": {"code": "sold_out", "message": "there is no more"}}

    def log_message(self, *_):
        pass


def back_end():
    """Starts it, and returns its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BackEnd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Phone:
    """One WebSocket of the protocol."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /connect HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.file = self.socket.makefile("rb")
        assert b" 101 " in self.file.readline(), "no WebSocket"
        while self.file.readline() != b"\r\n":
            pass
        self.packets = []
        self.number = 0

    def send(self, packet):
        text = json.dumps(packet).encode()
        mask = os.urandom(4)
        length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0xFE]) + struct.pack(">H", len(text))
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
        self.socket.sendall(b"\x81" + length + mask + masked)

    def receive(self):
        """The next packet; `None` where the server has closed."""
        while not self.packets:
            head = self.file.read(2)
            if len(head) < 2:
                return None
            length = head[1] & 0x7F
            if length >= 126:
                length = int.from_bytes(self.file.read(2 if length == 126 else 8), "big")
            body = self.file.read(length)
            if head[0] & 0x0F == 8:
                return None
            if head[0] & 0x0F == 1:
                self.packets = [json.loads(line) for line in body.decode().splitlines()]
        return self.packets.pop(0)

    def wait_for(self, *verbs):
        while (packet := self.receive()) is not None:
            for verb in verbs:
                if verb in packet:
                    return packet[verb]
        return None

    def ask(self, **request):
        self.number += 1
        self.send({"id": self.number, **request})
        while (packet := self.receive()) is not None and packet.get("id") != self.number:
            pass
        return packet

    def close(self):
        # The file holds the socket open as well.
        self.file.close()
        self.socket.close()


def enter(address, **hello):
    """A phone that has said hello; its welcome is `None` where it was refused."""
    phone = Phone(address)
    phone.send({"hello": {"v": 1, **hello}})
    packet = phone.receive()
    return phone, packet.get("welcome") if packet else None


def publish(address, channel, data):
    body = json.dumps({"channel": channel, "data": data}).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://{address}/api/v1/publish", body, headers)
    try:
        urllib.request.urlopen(request, timeout=10).read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()) from error


def round_of(address, reader, number):
    """What happens in a second."""
    for _ in range(3):
        publish(address, "room:1", {"n": number})
        assert reader.wait_for("pub"), "the reader has it"
    assert "ok" in reader.ask(call={"method": "order.create", "data": 1})
    assert "error" in reader.ask(call={"method": "order.more", "data": 1})
    assert "error" in reader.ask(publish={"channel": "closed:1", "data": 1})
    # A login that is refused, and one that is not.
    enter(address, auth={"token": "nobody"})[0].close()
    phone, welcome = enter(address, auth={"token": "ali"})
    phone.ask(subscribe={"channel": "room:2"})
    phone.close()
    # It comes again: with its ticket, behind a log that is gone.
    resume = {"ticket": welcome["ticket"], "attempt": number + 1, "cursors": {"room:2": {"epoch": "gone", "offset": 9}}}
    drop = {"cause": "network", "offline_ms": 900 + 400 * (number % 20)}
    phone, welcome = enter(address, resume=resume, last_drop=drop)
    assert welcome["resumed"], welcome
    phone.close()
    # And with one that no gateway has made.
    phone, welcome = enter(address, auth={"token": "ali"}, resume={"ticket": "AAAA", "attempt": 1, "cursors": {}})
    assert not welcome["resumed"], welcome
    phone.close()


def run(address, until):
    """Goes on until `until` says true; returns the number of rounds."""
    reader, _ = enter(address, auth={"guest": True})
    reader.ask(subscribe={"channel": "room:1"})
    number = 0
    while not until():
        begun = time.monotonic()
        round_of(address, reader, number)
        number += 1
        # The load is one of rates: a second is what Prometheus scrapes.
        time.sleep(max(0.0, 0.5 - (time.monotonic() - begun)))
    reader.close()
    return number
