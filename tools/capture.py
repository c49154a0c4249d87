"""Draw a session on a terminal: type its commands for real, and write what they printed as docs/img/run.svg.

    python tools/capture.py              # asks the small local model once
    python tools/capture.py --check      # fails where the commands print something else by now; asks no model

The picture is light or dark as its reader likes, has its own colours and no font of its own, and says its text in
`<text>`, so that it can be read aloud and searched. Nothing in it is written by hand but the file and the commands.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).parent.parent / "docs" / "img" / "run.svg"
FILE = """\
---
name: subject
input:
  message: text 1.., a mail from a customer
returns:
  subject: text 3..60, its subject line

examples:
  - input: { message: "Hello, the lamp that I bought does not work. Please send a new one. Ann" }
    output: { subject: The lamp does not work }
  - input: { message: "Good morning, I would like to buy ten chairs. Do you have them in blue? Eve" }
    output: { subject: Ten blue chairs }

llm: local/smollm2-135m
---
{{ input.mesage }}

<<<SYSTEM>>>
You write the subject line of a message: a few words that say what it is about.
"""
COMMANDS = (  # each with the status that it must end with; the last one asks the model
    ("cat subject.rllm", 0),
    ("runllm validate subject.rllm", 3),
    ("sed -i s/mesage/message/ subject.rllm", 0),
    ("runllm subject.rllm message='Hello, I need two red curtains for my kitchen. How much are they? Lea'", 0),
)
COLUMNS = 104
WIDTH, HEIGHT, MARGIN, BAR = 8.4, 19, 16, 34  # of a character, of a line, around the text, of the window's bar

_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-z]")
_CLASSES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}
_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" \
aria-label="{label}">
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2733; \
white-space: pre; }}
.back {{ fill: #fbfcfd; stroke: #cfd6df; }}
.bold {{ font-weight: 700; }} .dim {{ fill: #5c6878; }} .red {{ fill: #b3202c; }} .green {{ fill: #1d7036; }}
.yellow {{ fill: #7d5a00; }} .cyan {{ fill: #0b6577; }} .prompt {{ fill: #1d7036; font-weight: 700; }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #d6deeb; }} .back {{ fill: #171c26; stroke: #3b4454; }} .dim {{ fill: #8b98a9; }}
.red {{ fill: #ff7b85; }} .green, .prompt {{ fill: #8fd694; }} .yellow {{ fill: #e6c07b; }} .cyan {{ fill: #6cc7d9; }}
}}
</style>
<rect class="back" x="0.5" y="0.5" width="{inner:g}" height="{below:g}" rx="8"/>
<circle cx="20" cy="17" r="5.5" fill="#ff6b68"/><circle cx="38" cy="17" r="5.5" fill="#f2c14e"/>\
<circle cx="56" cy="17" r="5.5" fill="#62c462"/>
"""
_LABEL = (
    "A terminal: cat subject.rllm shows a file, runllm validate finds a mistyped name in it and says what was meant, "
    "and once that is mended, runllm writes the subject line of a mail."
)


def session(commands: Sequence[tuple[str, int]]) -> list[tuple[str, str]]:
    """Type commands beside the file; each with what it printed.

    Raises:
        SystemExit: one ended with another status.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "subject.rllm").write_text(FILE, encoding="utf-8")
        return [(command, printed(command, status, folder)) for command, status in commands]


def printed(command: str, status: int, folder: str) -> str:
    """What the command prints on a terminal of this width, colours included.

    Raises:
        SystemExit: it ended with another status.
    """
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "TERM": "xterm-256color"}
    environment |= {"RUNLLM_STATS": "off", "RUNLLM_CONFIG": os.devnull}
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, COLUMNS))
    process = subprocess.Popen(
        shlex.split(command), cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave
    )
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
    if process.wait() != status:
        sys.exit(f"exit status {process.returncode}:\n{got.decode('utf-8', 'replace')}")
    return got.decode("utf-8").rpartition("\r\x1b[K")[2]  # what was shown meanwhile is gone


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


def svg(typed: Sequence[tuple[str, str]]) -> str:
    """The picture of a terminal on which the commands were typed."""
    rows: list[list[tuple[str, str]]] = []
    for command, output in typed:
        for number, row in enumerate(cells(command)):
            rows.append([("$ ", "prompt") if not number else ("", ""), *((text, "bold") for text, _ in row)])
        rows += [*(cells(output) if output.strip() else ()), []]
    width = 2 * MARGIN + (COLUMNS + 2) * WIDTH
    height = BAR + (len(rows) - 1) * HEIGHT + MARGIN
    parts = [_HEAD.format(width=width, height=height, inner=width - 1, below=height - 1, label=escape(_LABEL))]
    return "".join([*parts, *lines(rows), "</svg>\n"])


def lines(rows: Sequence[Sequence[tuple[str, str]]]) -> Iterator[str]:
    """The rows as text, an element for each that is not empty."""
    for number, row in enumerate(rows):
        column = 0
        spans: list[str] = []
        for text, classes in row:
            # Placed and stretched to its cells, so that no font of a reader moves what stands beside it.
            kind = f' class="{classes}"' if classes else ""
            at = f'x="{MARGIN + column * WIDTH:g}" textLength="{len(text) * WIDTH:g}"'
            spans += [f"<tspan {at}{kind}>{escape(text)}</tspan>"] if text else []
            column += len(text)
        if spans:
            yield f'<text y="{BAR + number * HEIGHT + 13}">{"".join(spans)}</text>\n'


def stale(picture: str) -> bool:
    """Whether the picture shows something else than the commands print, but for the last one, which asks the model."""
    drawn = re.findall(r"<text .*", svg([*session(COMMANDS[:-1]), (COMMANDS[-1][0], "")]))
    return re.findall(r"<text .*", picture)[: len(drawn)] != drawn


def main() -> None:
    """Write the picture, or say whether it is still true."""
    if sys.argv[1:] == ["--check"]:
        if stale(PICTURE.read_text("utf-8")):
            sys.exit(f"{PICTURE} is not what the commands print: run `python tools/capture.py`")
        return
    PICTURE.write_text(svg(session(COMMANDS)), encoding="utf-8")
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
