"""The page served: on one address, with nothing kept, nothing asked of others, and no file of others readable."""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgender.classify.pipeline import Classifier
from batchgender.errors import UserError, os_reason
from batchgender.io import Notify
from batchgender.photos.limits import lower_pixel_limit
from batchgender.ui.uploads import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost")
# Seconds that answers under way have when the program is stopped.
_GRACE = 3
# The page may load what this server has, and nothing else.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)


def serve(
    listening: socket.socket,
    classifier: Classifier,
    methods: list[str],
    limits: Limits,
    detector: str | None,
    notify: Notify,
) -> None:
    """Serve the page on a socket that listens (see `bound`) until the process is told to stop.

    What is uploaded lies in a folder of this process's own, which is deleted at the end. The whole process refuses
    photos above the limit of pixels, and opens no connection to another machine from here on.
    """
    host, port, *_ = listening.getsockname()
    with tempfile.TemporaryDirectory(prefix="batchgender-ui-") as folder:
        _end_at_signals()
        # Before Gradio is imported: it takes these then.
        os.environ.update(
            GRADIO_TEMP_DIR=folder,
            GRADIO_EXAMPLES_CACHE=folder,
            GRADIO_ANALYTICS_ENABLED="False",
            HF_HUB_OFFLINE="1",
        )
        import gradio as gr
        import uvicorn
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from batchgender.ui.page import CSS, make_page
        from batchgender.ui.sessions import Sessions

        lower_pixel_limit(limits.megapixels * 1_000_000)
        page = make_page(classifier, methods, Sessions(Path(folder)), limits, detector)
        # A page of another site that gives this machine a name of its own is not answered.
        names = LOOPBACK if host in LOOPBACK else ("*",)
        app = Starlette(
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=list(names)),
                Middleware(_Guard, largest=limits.megabytes * 1_000_000),
            ]
        )
        gr.mount_gradio_app(
            app,
            page,
            "/",
            server_name=host,
            server_port=port,
            footer_links=[],
            run_history=False,
            allowed_paths=[],
            show_error=False,
            max_file_size=limits.megabytes * 1_000_000,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css=CSS,
        )
        # Without it Gradio takes any path that a request names for an upload, and copies that file to where it serves.
        page.has_launched = True
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=_GRACE, server_header=False)
        )
        shown = f"[{host}]" if ":" in host else host
        notify(f"open http://{shown}:{port}/ in a browser; Ctrl-C ends it")
        if host not in LOOPBACK:
            notify(f"{host}: whoever reaches this machine can use the page; there is no password")
        _refuse_connections()
        server.run(sockets=[listening])


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens on this address; port 0 takes a free one. Raises UserError where it can't be had."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else "no name of a machine"
        raise UserError(
            f"--host {host}: {reason}; 127.0.0.1 is this machine alone, 0.0.0.0 all its addresses"
        ) from error
    with listening:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen()
        except OSError as error:
            raise UserError(
                f"{host}, port {port}: can't serve there ({os_reason(error)}); choose another --port"
            ) from error
        yield listening


def _end_at_signals() -> None:
    """Have the process end by an exception where it is told to stop: what was uploaded is then deleted."""
    # Uvicorn, once it has stopped, raises the signal again.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    # Of a terminal that is closed.
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))


class _Guard:
    """Refuses uploads that are too large before they are read, and says what the page may load."""

    def __init__(self, app: "ASGIApp", largest: int) -> None:
        self._app, self._largest = app, largest

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse

        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0" if scope["method"] in ("GET", "HEAD") else b"")
        # The parts of a form have heads of their own.
        if not length.isdigit() or int(length) > 1.01 * self._largest + 1_000_000:
            text = f"more than {self._largest // 1_000_000:,} MB; drop fewer photos at once"
            await PlainTextResponse(text, 413, {"connection": "close"})(scope, receive, send)
            return

        async def guarded(message: "Message") -> None:
            if message["type"] == "http.response.start":
                added = (("content-security-policy", _POLICY), ("referrer-policy", "no-referrer"))
                message["headers"] = [*message["headers"], *((key.encode(), value.encode()) for key, value in added)]
            await send(message)

        await self._app(scope, receive, guarded)


def _refuse_connections() -> None:
    """Have this process open no connection but to itself, whatever a library wants, or a request asks of Gradio."""

    own = (None, "", *LOOPBACK, "::1")

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in own:
            raise PermissionError("batchgender ui opens no connections")
        if event == "socket.getaddrinfo" and arguments[0] not in own:
            raise PermissionError("batchgender ui looks up no addresses")

    sys.addaudithook(check)
