"""Checks the manifests of the crates that are to be published, and the table of SECURITY.md about what they depend on.

Reads what `cargo metadata --all-features` prints.
"""

import json
import pathlib
import re
import sys

# Those of https://crates.io/category_slugs that the crates have. crates.io drops others without an error.
CATEGORIES = {
    "api-bindings", "asynchronous", "command-line-utilities", "development-tools::testing", "encoding", "filesystem", "no-std",
    "parser-implementations",
}
UNSAFE = re.compile(r"\bunsafe\s*(\{|fn\b|impl\b|trait\b|extern\b)")

problems = []


def check_manifest(package):
    """What crates.io and docs.rs ask for or make use of."""
    name = package["name"]
    page = f"https://docs.rs/{name}"
    if "lib" not in kinds(package) and "proc-macro" not in kinds(package):
        page = f"https://docs.rs/crate/{name}"
    wanted = {
        "description": bool(package["description"]),
        "license": package["license"] == "MIT OR Apache-2.0",
        "readme": package["readme"] == "README.md",
        "rust-version": bool(package["rust_version"]),
        f'documentation = "{page}"': package["documentation"] == page,
        "1 to 5 keywords of at most 20 characters": 1 <= len(package["keywords"]) <= 5 and all(len(word) <= 20 for word in package["keywords"]),
        "1 to 5 known categories": 1 <= len(package["categories"]) <= 5 and set(package["categories"]) <= CATEGORIES,
    }
    if package["features"] and "lib" in kinds(package):
        docs = ((package["metadata"] or {}).get("docs") or {}).get("rs") or {}
        wanted["all-features = true for docs.rs"] = docs.get("all-features") is True
    problems.extend(f"the manifest of {name} lacks {field}" for field, there in wanted.items() if not there)


def kinds(package):
    return {kind for target in package["targets"] for kind in target["kind"]}


def what_runs(package):
    """What a reviewer has to look at: `unsafe` code in the sources, code that runs in the build."""
    folder = pathlib.Path(package["manifest_path"]).parent
    lines = (line.split("//")[0] for file in (folder / "src").rglob("*.rs") for line in file.read_text(errors="replace").splitlines())
    found = {
        "unsafe": any(UNSAFE.search(line) for line in lines),
        "build script": "custom-build" in kinds(package),
        "macros": "proc-macro" in kinds(package),
    }
    return ", ".join(what for what, there in found.items() if there) or "–"


def check_table(metadata, published, page):
    """One row for each direct dependency, with who uses it and what runs in it."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    users = {}
    for package in published:
        for dependency in nodes[package["id"]]["deps"]:
            used = packages[dependency["pkg"]]
            if used["source"] and any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                users.setdefault((used["name"], used["id"]), []).append(package["name"])
    expected = {name: (", ".join(sorted(names)), what_runs(packages[identity])) for (name, identity), names in users.items()}
    stated = {}
    for cells in re.findall(r"^\| `([^`]+)` \| (.+) \| (.+) \| (.+) \|$", page, re.MULTILINE):
        stated[cells[0]] = (cells[2], cells[3])
    for name in sorted(expected.keys() | stated.keys()):
        if name not in expected:
            problems.append(f"SECURITY.md has a row for {name}, on which no published crate depends")
        elif stated.get(name) != expected[name]:
            problems.append(f"SECURITY.md lacks this row: | `{name}` | why | {' | '.join(expected[name])} |")
    return len(expected)


def main():
    metadata = json.load(sys.stdin)
    published = [package for package in metadata["packages"] if package["source"] is None and package["publish"] is None]
    for package in published:
        check_manifest(package)
    rows = check_table(metadata, published, pathlib.Path("SECURITY.md").read_text())
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(published)} manifests of crates that are to be published, {rows} crates on which they depend")


main()
