"""The pictures of the manual, of drawn portraits alone: a terminal, a report, the app, an explanation."""

import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import click
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_BATCHGENDER = [sys.executable, "-m", "batchgender"]
_COLUMNS = 100
_WIDTH = 1100
# Milliseconds.
_PATIENCE, _DRAWING = 120_000, 3_000
_TERMINAL = (
    '<pre style="font: 14px/1.35 monospace; margin: 0; padding: 16px; width: max-content; color: {foreground};'
    ' background: {background}">{code}</pre>'
)


@click.command()
@click.argument("demo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(demo: Path, out: Path) -> None:
    """Draw the pictures into OUT from what `make demo` left in DEMO; needs Chromium."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        raise click.ClickException("no Chromium on this machine; install it, then try again")
    out.mkdir(parents=True, exist_ok=True)
    model, photos, page = demo / "exports" / "batchgender.onnx", demo / "faces" / "test", demo / "pictures.html"
    options = ["--model", model, "--faces", "off"]
    line = [*_BATCHGENDER, "classify", photos, *options, "--out", demo / "pictures.csv", "--report", page]
    shown = _shown_on_a_terminal([*map(str, line), "--explain", "occlusion", "--overwrite", "--quiet"])
    portraits = [next((photos / label).glob("*.jpg")) for label in ("female", "male")]
    _explain(portraits[0], [*map(str, options)], demo / "explained", out / "explanation.png")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _shoot_terminal(browser, shown, out / "terminal.png")
        for scheme in ("light", "dark"):
            _shoot_report(browser, page, scheme, out / f"report-{scheme}.png")
        _shoot_gallery(browser, page, out / "mistakes.png")
        _shoot_app(browser, model, portraits, out / "app.png")
        browser.close()
    for picture in out.glob("*.png"):
        # A third of the size, and looks the same.
        Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)


def _shown_on_a_terminal(line: list[str]) -> str:
    """What a command shows on a terminal, its notices left out."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"}
    process = subprocess.Popen(line, stdout=theirs, stderr=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    shown = b""
    # A terminal whose other end is closed is an error, not an end.
    with contextlib.suppress(OSError):
        while part := os.read(ours, 2**16):
            shown += part
    os.close(ours)
    if process.wait():
        raise click.ClickException(f"failed: {' '.join(line)}")
    return shown.decode().replace("\r\n", "\n")


def _shoot_terminal(browser: Browser, shown: str, out: Path) -> None:
    with Path(os.devnull).open("w") as nothing:
        console = Console(record=True, width=_COLUMNS, file=nothing)
        console.print(Text.from_ansi(shown))
        text = console.export_html(theme=MONOKAI, code_format=_TERMINAL, inline_styles=True)
    page = browser.new_page(viewport={"width": _WIDTH, "height": 800})
    page.set_content(text)
    page.locator("pre").first.screenshot(path=out)
    page.close()


def _explain(portrait: Path, options: list[str], folder: Path, out: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    line = [*_BATCHGENDER, "explain", str(portrait), *options, "--out", str(folder)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    shutil.copyfile(next(folder.rglob("*.png")), out)


def _shoot_report(browser: Browser, report: Path, scheme: Literal["light", "dark"], out: Path) -> None:
    page = browser.new_page(viewport={"width": _WIDTH, "height": 1250}, color_scheme=scheme)
    page.goto(report.resolve().as_uri())
    page.wait_for_selector("#cards > div")
    page.screenshot(path=out)
    page.close()


def _shoot_gallery(browser: Browser, report: Path, out: Path) -> None:
    page = browser.new_page(viewport={"width": _WIDTH, "height": 800})
    page.goto(report.resolve().as_uri())
    page.locator("#threshold").evaluate("one => one.closest('.control').remove()")
    page.locator("#gallery-mistakes").scroll_into_view_if_needed()
    page.locator("#gallery-mistakes").screenshot(path=out)
    page.close()


def _shoot_app(browser: Browser, model: Path, portraits: list[Path], out: Path) -> None:
    line = [*_BATCHGENDER, "ui", "--port", "0", "--model", str(model)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as app:
        assert app.stdout
        try:
            address = next(found[0] for text in app.stdout if (found := re.search(r"http://\S+", text)))
            page = browser.new_page(viewport={"width": _WIDTH, "height": 2000})
            page.set_default_timeout(_PATIENCE)
            page.goto(address)
            page.wait_for_selector("#classify")
            page.get_by_label("None: the photos are cropped faces").check()
            page.set_input_files("#files input[type=file]", list(map(str, portraits)))
            page.wait_for_selector("#files tr.file")
            page.wait_for_timeout(_DRAWING)
            page.click("#classify")
            page.wait_for_selector("#table")
            page.click("#explain")
            page.wait_for_selector("#explained .bar")
            page.wait_for_timeout(_DRAWING)
            page.screenshot(path=out)
        finally:
            app.terminate()


if __name__ == "__main__":
    main()
