"""A server on tornado that hands on what one says, to be measured: as ws.mjs does it.

Called with a port of 127.0.0.1.
"""

import asyncio
import logging
import sys

from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

subscribers = set()


class Peer(WebSocketHandler):
    def open(self):
        self.set_nodelay(True)
        self.write_message("ready")


class Subscriber(Peer):
    def open(self):
        subscribers.add(self)
        super().open()

    def on_close(self):
        subscribers.discard(self)


class Publisher(Peer):
    def on_message(self, message):
        for subscriber in list(subscribers):
            try:
                subscriber.write_message(message)
            except WebSocketClosedError:
                subscribers.discard(subscriber)


class Echo(Peer):
    def on_message(self, message):
        self.write_message(message)


async def main(port):
    paths = [("/subscribe", Subscriber), ("/publish", Publisher), ("/echo", Echo)]
    # Compression is off in tornado unless it is asked for.
    Application(paths).listen(port, "127.0.0.1", backlog=4096)
    await asyncio.Event().wait()


logging.getLogger("tornado.access").disabled = True
asyncio.run(main(int(sys.argv[1])))
