"""Draws benches/scale.svg and writes the table of BENCHMARKS.md from what `cargo bench --bench scale` has left.

    cargo bench --bench scale
    cargo bench -p kpl-stream --bench scale
    python3 benches/scale/picture.py

Reads target/scale/*.json, below CARGO_TARGET_DIR if that is set.
"""

import json
import sys
from math import log10
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from report import ROOT, TARGET, dates, fill, number, processor, table  # noqa: E402

COLOURS = ("#d9730d", "#5b8def", "#2a9d8f", "#c2559d", "#8a6fd1", "#7a8f2a", "#b5483a", "#4d908e")


def measured():
    """The nanoseconds for a record by operation and count, and those for a byte of hostile aggregates."""
    operations, hostile, moments = {}, [], []
    for name in ("codec", "stream"):
        path = TARGET / f"scale/{name}.json"
        if not path.exists():
            sys.exit(f"{path} is missing: run `cargo bench --bench scale` and `cargo bench -p kpl-stream --bench scale`")
        moments.append(path.stat().st_mtime)
        for line in json.loads(path.read_text()):
            if "hostile" in line:
                hostile.append(line)
            else:
                operations.setdefault(line["operation"], {})[line["count"]] = line["nanoseconds"]
    return operations, hostile, moments


def scale_table(operations):
    rows = []
    for operation, points in operations.items():
        most = max(points)
        least = min(points.values())
        cells = [number(points[10**decade]) if 10**decade in points else "" for decade in range(8)]
        rows.append([operation, *cells, f"{points[most] / least:.1f}x"])
    head = ["ns for each of"] + [f"{10**decade:,}" for decade in range(8)] + ["the largest count / the least"]
    return table(head, rows)


def hostile_table(hostile):
    rows = [[line["hostile"], number(line["nanoseconds"]), f"{line['times']:.1f}x"] for line in hostile]
    return table(["one aggregate of 10 MiB", "ns for a byte", "times the first"], rows)


def panel(title, operations, left, top, width, height):
    """Lines on logarithmic axes: how many records, and nanoseconds for each."""
    low, high = 0, 5.5
    x = lambda count: left + width * log10(count) / 7  # noqa: E731
    y = lambda value: top + height * (1 - (min(max(log10(value), low), high) - low) / (high - low))  # noqa: E731
    parts = [f'<text x="{left}" y="{top - 12}" font-size="14" font-weight="600">{title}</text>']
    for decade in range(8):
        at = x(10**decade)
        parts.append(f'<path d="M{at:.1f} {top}V{top + height}" stroke="#9aa0a6" stroke-opacity="0.3"/>')
        name = ("1", "10", "100", "1,000", "10^4", "10^5", "10^6", "10^7")[decade]
        parts.append(f'<text x="{at:.1f}" y="{top + height + 16}" font-size="11" text-anchor="middle">{name}</text>')
    for decade, name in enumerate(("1 ns", "10 ns", "100 ns", "1 µs", "10 µs", "100 µs")):
        at = y(10**decade)
        parts.append(f'<path d="M{left} {at:.1f}H{left + width}" stroke="#9aa0a6" stroke-opacity="0.3"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" font-size="11" text-anchor="end">{name}</text>')
    for index, (operation, points) in enumerate(operations):
        colour = COLOURS[index % len(COLOURS)]
        places = " ".join(f"{x(count):.1f},{y(value):.1f}" for count, value in sorted(points.items()))
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>')
        line = top + 10 + 17 * index
        parts.append(f'<path d="M{left + width + 14} {line - 4}h16" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + width + 36}" y="{line}" font-size="12">{operation}</text>')
    return parts


def picture(operations, moments):
    codec = [(name, points) for name, points in operations.items() if not name.startswith(("Pipeline", "Log"))]
    stream = [(name, points) for name, points in operations.items() if name.startswith(("Pipeline", "Log"))]
    title = "Nanoseconds for one record, by the number of records"
    parts = [f'<text x="12" y="24" font-size="14" font-weight="600">{title}</text>']
    parts += panel("Codec", codec, 64, 70, 380, 240)
    parts += panel("Producer and spool", stream, 64, 390, 380, 240)
    note = f"Logarithmic scales. {processor().split(' (')[0]}, {dates(moments)}."
    parts.append(f'<text x="12" y="684" font-size="12">{note}</text>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 696" width="800" height="696" role="img" '
        'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif" '
        f'fill="#767676">\n<title>{title}</title>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def main():
    operations, hostile, moments = measured()
    document = ROOT / "BENCHMARKS.md"
    sections = {"scale": scale_table(operations), "hostile": hostile_table(hostile)}
    document.write_text(fill(document.read_text(), sections))
    (ROOT / "benches/scale.svg").write_text(picture(operations, moments))
    print("wrote BENCHMARKS.md and benches/scale.svg")


if __name__ == "__main__":
    main()
