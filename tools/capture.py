"""Draw a command on a terminal: run it for real, and write what it printed as an SVG.

    python tools/capture.py              # docs/img/run.svg, the picture of the README
    python tools/capture.py -o x.svg runllm doctor

The picture is a dark terminal on any background, has its own colours and no font of its own, and says its text in
`<text>`, so that it can be read aloud and searched.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import shlex
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parent.parent
COMMAND = "runllm run examples/summary.rllm --input-file examples/summary.input.yaml --verbose"
COLUMNS = 96
WIDTH, HEIGHT, MARGIN, BAR = 8.4, 19, 16, 34  # of a character, of a line, around the text, of the window's bar

_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-z]")
_CLASSES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}
_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" \
aria-label="{label}">
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d6deeb; \
white-space: pre; }}
.bold {{ font-weight: 700; }} .dim {{ fill: #8b98a9; }} .red {{ fill: #ff7b85; }} .green {{ fill: #8fd694; }}
.yellow {{ fill: #e6c07b; }} .cyan {{ fill: #6cc7d9; }} .prompt {{ fill: #8fd694; font-weight: 700; }}
</style>
<rect width="{width:g}" height="{height:g}" rx="8" fill="#171c26" stroke="#3b4454"/>
<circle cx="20" cy="17" r="5.5" fill="#ff6b68"/><circle cx="38" cy="17" r="5.5" fill="#f2c14e"/>\
<circle cx="56" cy="17" r="5.5" fill="#62c462"/>
"""


def printed(command: str) -> str:
    """What the command prints on a terminal of this width, colours included.

    Raises:
        SystemExit: it failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "TERM": "xterm-256color"}
    environment |= {"RUNLLM_STATS": "off", "RUNLLM_CONFIG": os.devnull}
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, COLUMNS))
    process = subprocess.Popen(shlex.split(command), cwd=ROOT, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    got = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the command, who held the other end, is gone
            break
        if not chunk:
            break
        got += chunk
    os.close(master)
    if process.wait():
        sys.exit(f"exit status {process.returncode}:\n{got.decode('utf-8', 'replace')}")
    return got.decode("utf-8")


def cells(text: str) -> Iterator[list[tuple[str, str]]]:
    """The lines of a terminal, each a list of pieces with their classes; a line that is too long is broken."""
    classes: tuple[str, ...] = ()
    for line in text.replace("\r\n", "\n").rstrip("\n").split("\n"):
        row: list[tuple[str, str]] = []
        column = 0
        for number, piece in enumerate(_SEQUENCE.split(line)):
            if number % 2:  # the codes of a sequence
                codes = [code for code in (piece or "0").split(";") if code]
                classes = tuple(_CLASSES[code] for code in codes if code in _CLASSES)
                continue
            left = piece
            while left:
                part, left = left[: COLUMNS - column], left[COLUMNS - column :]
                row.append((part, " ".join(classes)))
                column += len(part)
                if left:
                    yield row
                    row, column = [], 0
        yield row


def svg(command: str, output: str) -> str:
    """The picture of a terminal on which the command was typed."""
    rows = [[("$ ", "prompt"), (command, "bold")], *cells(output)]
    width = 2 * MARGIN + COLUMNS * WIDTH
    height = BAR + len(rows) * HEIGHT + MARGIN
    parts = [_HEAD.format(width=width, height=height, label=escape(f"A terminal: {command}", {'"': "&quot;"}))]
    for number, row in enumerate(rows):
        column = 0
        spans: list[str] = []
        for text, classes in row:
            # Placed and stretched to its cells, so that no font of a reader moves what stands beside it.
            kind = f' class="{classes}"' if classes else ""
            at = f'x="{MARGIN + column * WIDTH:g}" textLength="{len(text) * WIDTH:g}"'
            spans.append(f"<tspan {at}{kind}>{escape(text)}</tspan>")
            column += len(text)
        parts.append(f'<text y="{BAR + number * HEIGHT + 13}">{"".join(spans)}</text>\n')
    return "".join([*parts, "</svg>\n"])


def main() -> None:
    """Run the command and write its picture."""
    options = argparse.ArgumentParser(description="Draw a command on a terminal as an SVG.")
    options.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "img" / "run.svg")
    options.add_argument("command", nargs=argparse.REMAINDER, help=f"by default: {COMMAND}")
    given = options.parse_args()
    command = shlex.join(given.command) or COMMAND
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(svg(command, printed(command)), encoding="utf-8")
    print(f"{given.output}: {given.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
