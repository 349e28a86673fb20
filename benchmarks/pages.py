"""Tables of measurements in a page of the docs, between the marks of a script."""

from __future__ import annotations

from pathlib import Path

__all__ = ["replace_between"]


def replace_between(page: Path, name: str, text: str) -> None:
    """Replace what stands in a page between the lines `<!-- NAME -->` and `<!-- end of NAME -->`.

    Raises
    ------
    SystemExit
        The page lacks one of them.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise SystemExit(f"{page} lacks the lines {begin} and {end}, in this order")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
