"""A server in a thread of the test, at a port of its own."""

import threading
import time
from contextlib import contextmanager

import uvicorn
from served_model import MODEL

from undiffuse.serve.api.app import Options, create_app
from undiffuse.serve.served import Served


@contextmanager
def serving(options: Options, port: int = 0, models=None):
    """The address of a server, and its application."""
    app = create_app(Served.ready(models or {"tiny": MODEL}), options)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join()
