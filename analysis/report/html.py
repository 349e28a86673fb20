"""A document as one HTML page: figures inside, no script, no network, light, fit for print."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from abm.analysis.report.document import (
    Block,
    Code,
    Document,
    Items,
    Picture,
    Section,
    TableBlock,
    Text,
    Warn,
)
from abm.analysis.tables import cells, number_columns

__all__ = ["to_html"]

LARGEST_SVG = 600_000
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 Georgia, 'Times New Roman', serif; color: #1a1a1a; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1.25rem; }
h1, h2, h3, th, figcaption, .caption, nav, .label, .warn { font-family: system-ui, -apple-system,
  'Segoe UI', 'DejaVu Sans', sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ccc;
  padding-bottom: .2rem; }
h3 { font-size: 1.02rem; margin: 1.5rem 0 .4rem; }
p, ul { margin: .5rem 0 .9rem; }
nav { font-size: .85rem; margin: 1rem 0; }
nav a { color: #0b5394; margin-right: .9rem; white-space: nowrap; }
.label { display: inline-block; border: 1.5px solid #8a4b00; color: #6b3a00; background: #fff4e0;
  padding: .15rem .6rem; font-size: .85rem; font-weight: 600; }
.warn { border-left: 4px solid #b45309; background: #fff8ec; padding: .5rem 1rem;
  font-size: .92rem; }
.warn ul { margin: .2rem 0; padding-left: 1.1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; margin: .6rem 0 1.2rem;
  font-variant-numeric: tabular-nums; }
.caption { font-size: .84rem; color: #333; margin: 1.1rem 0 -.2rem; }
th, td { padding: .22rem .75rem .22rem 0; text-align: left; vertical-align: top; }
thead tr { border-top: 1.5px solid #000; border-bottom: 1px solid #000; }
tbody tr:last-child { border-bottom: 1.5px solid #000; }
tbody tr:nth-child(even) { background: #f7f7f7; }
.right { text-align: right; padding-left: .75rem; }
td { overflow-wrap: break-word; }
td:last-child { overflow-wrap: anywhere; }
td.right { white-space: nowrap; }
figure { margin: 1rem 0 1.6rem; }
figure img { width: 100%; max-width: 54rem; height: auto; }
figcaption { font-size: .84rem; color: #333; }
pre { background: #f5f5f5; border: 1px solid #ddd; padding: .6rem .8rem; font-size: .78rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
footer { margin-top: 3rem; border-top: 1px solid #ccc; font-size: .8rem; color: #555; }
@media print { body { max-width: none; margin: 0; font-size: 10.5pt; } nav { display: none; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; } }
"""


def to_html(document: Document) -> str:
    """One self-contained page.

    Examples
    --------
    >>> page = to_html(Document("A <study>", ("check",), (Section("Limits", (Text("None."),)),)))
    >>> "A &lt;study&gt;" in page, "http" in page
    (True, False)
    """
    titles = [(f"s{number}", section.title) for number, section in enumerate(document.sections)]
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title in titles)
    labels = "".join(f'<p class="label">{escape(label)}</p>' for label in document.labels)
    parts = [
        _section(section, name, 2)
        for section, (name, _) in zip(document.sections, titles, strict=True)
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(document.title)}</h1>\n{labels}\n<nav>{links}</nav>\n"
        + "\n".join(parts)
        + f"\n<footer>Made by Agora. {labels}</footer>\n</body>\n</html>\n"
    )


def _section(section: Section, name: str, depth: int) -> str:
    head = f'<section id="{name}">\n<h{depth}>{escape(section.title)}</h{depth}>'
    blocks = [_block(block) for block in section.blocks]
    inner = [
        _section(part, f"{name}-{number}", depth + 1)
        for number, part in enumerate(section.sections)
    ]
    return "\n".join([head, *blocks, *inner, "</section>"])


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Items | Warn):
        items = "".join(f"<li>{escape(item)}</li>" for item in block.items)
        return (
            f'<div class="warn"><ul>{items}</ul></div>'
            if isinstance(block, Warn)
            else (f"<ul>{items}</ul>")
        )
    if isinstance(block, Code):
        return f"<pre>{escape(block.text)}</pre>"
    return _table(block) if isinstance(block, TableBlock) else _picture(block)


def _table(block: TableBlock) -> str:
    marks = ['class="right"' if right else "" for right in number_columns(block.table)]

    def row(texts: list[str], tag: str) -> str:
        made = [
            f"<{tag} {mark}>".replace(" >", ">") + f"{escape(text)}</{tag}>"
            for text, mark in zip(texts, marks, strict=True)
        ]
        return f"<tr>{''.join(made)}</tr>"

    head = row(block.table.columns, "th")
    body = "\n".join(row(line, "td") for line in cells(block.table))
    caption = f'<p class="caption">{escape(block.caption)}</p>' if block.caption else ""
    return (
        f'<div class="scroll">{caption}<table>\n'
        f"<thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _picture(block: Picture) -> str:
    if block.svg and len(block.svg) < LARGEST_SVG:
        data = f"image/svg+xml;base64,{b64encode(block.svg.encode()).decode()}"
    else:
        data = f"image/png;base64,{b64encode(block.saved.png.read_bytes()).decode()}"
    name = escape(block.saved.png.stem)
    return (
        f'<figure><img src="data:{data}" alt="{escape(block.caption)}">\n'
        f"<figcaption>{escape(block.caption)} Numbers: {name}.csv.</figcaption></figure>"
    )
