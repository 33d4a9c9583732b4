"""Select Graphic Rendition: the shortest change from one pen to another.

A pen is the parameter string that Rich makes of a style, ``1;38;5;15;48;5;0``; "" is the reset
state. ECMA-48 8.3.117; 38 and 48 with colours as in ISO 8613-6 and xterm's ctlseqs.
"""

from __future__ import annotations

from functools import lru_cache

RESET = "\x1b[m"
_EXTENDED_LENGTH = {"5": 3, "2": 5}
"""38;5;n and 38;2;r;g;b."""


@lru_cache(maxsize=8192)
def change(before: str, after: str) -> str:
    """Return what to write so that a terminal with pen `before` has pen `after`.

    Attributes can be added one by one, but taken away only by a reset (22 would end both bold and
    dim). Worked example: from ``1;31`` to ``1;4;31`` is ``ESC[4m``, and back is ``ESC[0;1;31m``.
    """
    if before == after:
        return ""
    if not after:
        return RESET
    old_attributes, old_foreground, old_background = split(before)
    attributes, foreground, background = split(after)
    codes = []
    if not old_attributes <= attributes:
        codes.append("0")
        old_attributes, old_foreground, old_background = frozenset(), "", ""
    codes += sorted(attributes - old_attributes)
    if foreground != old_foreground:
        codes.append(foreground or "39")
    if background != old_background:
        codes.append(background or "49")
    return f"\x1b[{';'.join(codes)}m" if codes else ""


@lru_cache(maxsize=4096)
def split(pen: str) -> tuple[frozenset[str], str, str]:
    """Return (attributes, foreground, background) of a pen; a default colour is ""."""
    attributes = set()
    foreground = background = ""
    codes = pen.split(";") if pen else []
    while codes:
        code = codes[0]
        length = _EXTENDED_LENGTH.get(codes[1], 1) if code in {"38", "48"} and codes[1:] else 1
        colour, codes = ";".join(codes[:length]), codes[length:]
        number = int(code)
        if 30 <= number <= 38 or 90 <= number <= 97:
            foreground = colour
        elif 40 <= number <= 48 or 100 <= number <= 107:
            background = colour
        elif number == 39:
            foreground = ""
        elif number == 49:
            background = ""
        else:
            attributes.add(code)
    return frozenset(attributes), foreground, background
