#!/usr/bin/env python3
"""Draws a moment of a recording of `petset top` as an SVG picture.

    petset top --record demo.cast
    docs/picture.py demo.cast docs/top.svg [SECONDS]

A recording is an asciicast (version 2). Without SECONDS the picture is the last one before the
view was closed. Only what `petset top` writes is understood: moves of the cursor, looks of
letters, and clearing.
"""

import json
import re
import sys
from html import escape

COLORS = {
    1: "#f7768e", 2: "#9ece6a", 3: "#e0af68", 4: "#7aa2f7", 5: "#bb9af7", 6: "#7dcfff",
}
FOREGROUND, BACKGROUND = "#c0caf5", "#1a1b26"
# The size of a letter, and the space around all.
WIDTH, HEIGHT, MARGIN = 8.4, 18, 12
SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen:
    """Cells, each a letter with its look."""

    def __init__(self, width, height):
        self.size = width, height
        self.clear()

    def clear(self):
        width, height = self.size
        self.cells = [[(" ", ())] * width for _ in range(height)]
        self.x = self.y = 0
        self.look = ()

    def put(self, text):
        for letter in text:
            width, height = self.size
            if self.x < width and self.y < height:
                self.cells[self.y][self.x] = (letter, self.look)
            self.x += 1

    def obey(self, numbers, command):
        if command == "H":
            self.y, self.x = [max(number, 1) - 1 for number in (numbers + [1, 1])[:2]]
        elif command == "J":
            self.clear()
        elif command == "m":
            for number in numbers or [0]:
                self.look = () if number == 0 else (*self.look, number)

    def write(self, text):
        end = 0
        for sequence in SEQUENCE.finditer(text):
            self.put(text[end:sequence.start()])
            end = sequence.end()
            private, numbers, command = sequence.groups()
            if not private:
                self.obey([int(number or 0) for number in numbers.split(";")], command)
        self.put(text[end:])


def play(path, until):
    with open(path, encoding="utf-8") as file:
        header, *events = map(json.loads, file)
    screen = Screen(header["width"], header["height"])
    for time, kind, text in events:
        if (until is not None and time > until) or "\x1b[?1049l" in text:
            break
        if kind == "r":
            screen.size = tuple(map(int, text.split("x")))
            screen.clear()
        elif kind == "o":
            screen.write(text)
    return screen


def runs(row):
    """Joins neighbours of the same look; yields their place, text and look."""
    start = 0
    for place in range(1, len(row) + 1):
        if place == len(row) or row[place][1] != row[start][1]:
            yield start, "".join(letter for letter, _ in row[start:place]), row[start][1]
            start = place


def draw(screen):
    width, height = screen.size
    full = width * WIDTH + 2 * MARGIN, height * HEIGHT + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full[0]:.0f}" height="{full[1]:.0f}" '
        f'viewBox="0 0 {full[0]:.0f} {full[1]:.0f}" font-size="14" xml:space="preserve" '
        'font-family="ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace">'
    )
    yield f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>'
    for y, row in enumerate(screen.cells):
        for x, text, look in runs(row):
            color = next((COLORS.get(it - 30, FOREGROUND) for it in look if 30 <= it < 38), FOREGROUND)
            left, top = MARGIN + x * WIDTH, MARGIN + y * HEIGHT
            if 7 in look:
                size = f'width="{len(text) * WIDTH:.1f}" height="{HEIGHT}"'
                yield f'<rect x="{left:.1f}" y="{top}" {size} fill="{color}"/>'
                color = BACKGROUND
            if not text.strip():
                continue
            more = ' font-weight="bold"' if 1 in look else ""
            more += ' opacity="0.6"' if 2 in look else ""
            length = f'textLength="{len(text) * WIDTH:.1f}"'
            place = f'x="{left:.1f}" y="{top + 14}"'
            yield f'<text {place} {length} fill="{color}"{more}>{escape(text)}</text>'
    yield "</svg>"


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    until = float(sys.argv[3]) if len(sys.argv) == 4 else None
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in draw(play(sys.argv[1], until)))


if __name__ == "__main__":
    main()
