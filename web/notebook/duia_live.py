"""The page of duia in a notebook: `Live(preset="browser", lesson="collapse")`.

The page is a program of several files with workers of its own. A cell's output can hold no such thing, and a Jupyter server sends its files
in a sandbox where no worker may start. So the widget serves the page's folder itself, to this machine alone (127.0.0.1), for as long as the
kernel lives, and shows it by the element `<duia-live>` of the same package. Where the browser is on another machine than the kernel, `src`
names a page that the browser can reach.
"""

from __future__ import annotations

import http.server
import pathlib
import threading

import anywidget
import traitlets

__all__ = ["Live"]

HERE = pathlib.Path(__file__).parent


class _Page(http.server.SimpleHTTPRequestHandler):
    """Sends the page's files. A browser takes a module or a program only by its right type, which a system's own table may not have."""

    extensions_map = {
        "": "application/octet-stream",
        ".css": "text/css",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
    }

    def __init__(self, *args):
        super().__init__(*args, directory=str(HERE / "page"))

    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, *args):
        """A notebook is no place for a log of requests."""


_server: http.server.ThreadingHTTPServer | None = None
_lock = threading.Lock()


def _address() -> str:
    """Where this kernel serves the page: one server for all widgets, begun with the first."""
    global _server
    with _lock:
        if _server is None:
            if not (HERE / "page" / "index.html").is_file():
                raise FileNotFoundError(f"no page in {HERE / 'page'}: build the package with `make notebook`, or name a page by src=")
            _server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
            threading.Thread(target=_server.serve_forever, name="duia-live", daemon=True).start()
        return f"http://127.0.0.1:{_server.server_address[1]}/"


def _key(trait: type[traitlets.TraitType]):
    """A key of the page's link, and none where it is not given."""
    return trait(None, allow_none=True).tag(sync=True)


class Live(anywidget.AnyWidget):
    """A live run. Every trait may change while it is shown; docs/embedding.md says which begin another run.

    >>> Live(settings={"history": 5, "centres": 64}, hide="data,keep")
    """

    # The element's own program first: a cell's module cannot name another file.
    _esm = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("duia-live.js", "widget.js"))

    preset = _key(traitlets.Unicode)
    """Sizes and data to begin with: `browser`, `long`, `calibrated` or `paper`."""
    seed = _key(traitlets.Int)
    """The same seed gives the same run."""
    variants = _key(traitlets.Unicode)
    """Models that race, the baseline first: `ple,duia`."""
    settings = traitlets.Dict().tag(sync=True)
    """Any other keys of the configuration, as `duia config` lists them."""
    device = _key(traitlets.Unicode)
    """`auto`, `gpu` or `cpu`."""
    sample = _key(traitlets.Bool)
    """Whether a sample of real rows beside the page is used."""
    autoplay = _key(traitlets.Bool)
    """Whether it trains by itself."""
    lesson = _key(traitlets.Unicode)
    """A lesson by its name, which asks before it runs."""
    step = _key(traitlets.Int)
    """The lesson's step, from 1."""
    theme = _key(traitlets.Unicode)
    """`system`, `light` or `dark`."""
    lang = _key(traitlets.Unicode)
    """`en` or `zh`, the language that the page is read in."""
    hide = _key(traitlets.Unicode)
    """Parts to leave out: `headline,losses,data`."""
    present = _key(traitlets.Bool)
    """Large type and a lesson's notes."""
    height = traitlets.Unicode("40rem").tag(sync=True)
    """As in a style sheet; `auto` is as high as the tool, at most nine tenths of the window."""
    src = traitlets.Unicode().tag(sync=True)
    """Where the page lies. By default the kernel serves it to this machine."""
    trouble = traitlets.Unicode("", read_only=True).tag(sync=True)
    """Why the page is not shown, as the widget says it too."""

    @traitlets.default("src")
    def _serve(self):
        return _address()
