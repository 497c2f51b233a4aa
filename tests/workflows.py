"""Runs the steps of .github/workflows as they stand, each job in a clone of the last commit, with bash as GitHub calls it.

    python3 tests/workflows.py [JOB...]

The jobs that are named run in full. Of the others, commands that build or fuzz are only checked: their syntax, and that the scripts that they
call are there. Actions have stand-ins, which check what they are told: see `ACTIONS`. `rustup` is never run, because it would change the
toolchains of this machine. Of a matrix only the first value is run. FUZZ_SECONDS is the input `seconds`, by default 5.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
EVENT = "workflow_dispatch"
JOB_KEYS = {"name", "needs", "runs-on", "timeout-minutes", "outputs", "strategy", "env", "steps"}
STEP_KEYS = {"name", "id", "if", "uses", "with", "run", "env", "working-directory"}


class Context(dict):
    """A context of expressions: what is not there is empty."""

    def __getattr__(self, name):
        return self.get(name, "")


def evaluate(expression, contexts):
    """The value of an expression, as far as the workflows use the language."""
    for operator, python in ((r"&&", " and "), (r"\|\|", " or "), (r"!(?!=)", " not ")):
        expression = re.sub(operator, python, expression)
    return eval(expression, {"__builtins__": {}}, contexts)


def filled(text, contexts):
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(evaluate(found[1].strip(), contexts)), str(text))


def checkout(folder, options, in_full):
    depth = [] if options.get("fetch-depth") == "0" else ["--depth=1", "--no-tags"]
    subprocess.run(["git", "clone", "--quiet", *depth, ROOT.as_uri(), folder], check=True)


def rust_cache(folder, options, in_full):
    for workspace in options.get("workspaces", ".").split():
        assert (folder / workspace / "Cargo.lock").exists(), f"{workspace} has no Cargo.lock"


def restore(folder, options, in_full):
    assert options["restore-keys"] and options["key"].startswith(options["restore-keys"]), "no key could be restored"


def save(folder, options, in_full):
    there = [path for path in options["path"].split() if (folder / path).exists()]
    assert there or not in_full or options.get("if-no-files-found") == "ignore", f"nothing is at {options['path']}"
    print(f"  kept: {' '.join(there) or 'nothing'}")


ACTIONS = {
    "actions/checkout": checkout,
    "Swatinem/rust-cache": rust_cache,
    "actions/cache/restore": restore,
    "actions/cache/save": save,
    "actions/upload-artifact": save,
}


def run(command, folder, env, in_full):
    """Runs a command, or checks it. Returns what it wrote for later steps."""
    scripts = re.findall(r"(?:^|\s)(\.ci/[\w-]+)", command)
    for script in scripts:
        assert os.access(folder / script, os.X_OK), f"{script} is not there, or cannot be executed"
    if not in_full and (scripts or re.search(r"\bcargo\b", command)):
        subprocess.run(["bash", "-n", "-c", command], check=True)
        print("  only checked")
        return Context()
    with tempfile.TemporaryDirectory() as scratch:
        rustup = pathlib.Path(scratch, "rustup")
        rustup.write_text('#!/bin/sh\necho "  not run: rustup $*"\n')
        rustup.chmod(0o755)
        step, output = pathlib.Path(scratch, "step.sh"), pathlib.Path(scratch, "output")
        step.write_text(command)
        output.touch()
        env = env | {"GITHUB_OUTPUT": str(output), "PATH": f"{scratch}:{env['PATH']}"}
        subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", step], cwd=folder, env=env, check=True)
        return Context(line.split("=", 1) for line in output.read_text().splitlines())


def run_job(job, needs, in_full):
    """Runs a job and returns its outputs, or None if a step has failed."""
    contexts = Context(github=Context(event_name=EVENT, run_id="1", run_attempt="1"), needs=needs, steps=Context(), matrix=Context())
    assert set(job) <= JOB_KEYS, f"unknown here: {set(job) - JOB_KEYS}"
    contexts["inputs"] = Context(seconds=os.environ.get("FUZZ_SECONDS", "5"))
    contexts["fromJSON"] = json.loads
    for variable, values in (job.get("strategy") or {}).get("matrix", {}).items():
        values = evaluate(values.strip("${} "), contexts)
        print(f"  matrix: {variable} is one of {' '.join(values)}")
        contexts["matrix"][variable] = values[0]
    # As a machine that has built nothing yet.
    env = {key: value for key, value in os.environ.items() if key not in ("CARGO_TARGET_DIR", "FUZZ_SECONDS")} | {"CI": "true"}
    env |= {key: filled(value, contexts) for key, value in (job.get("env") or {}).items()}
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch, "clone")
        for step in job["steps"]:
            contexts |= {"always": lambda: True, "cancelled": lambda: False, "failure": lambda: failed, "success": lambda: not failed}
            assert set(step) <= STEP_KEYS, f"unknown here: {set(step) - STEP_KEYS}"
            condition = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", str(step.get("if", "success()")).strip())
            # A condition that asks for no status is one of the steps before as well.
            asks = re.search(r"\b(always|cancelled|failure|success)\(\)", condition)
            if not evaluate(condition, contexts) or (failed and not asks):
                continue
            begun, title = time.monotonic(), step.get("name") or step.get("uses") or step["run"]
            try:
                if "uses" in step:
                    options = {key: filled(value, contexts) for key, value in (step.get("with") or {}).items()}
                    ACTIONS[step["uses"].split("@")[0]](folder, options, in_full)
                else:
                    where = folder / step.get("working-directory", ".")
                    outputs = run(filled(step["run"], contexts), where, env | (step.get("env") or {}), in_full)
                    if "id" in step:
                        contexts["steps"][step["id"]] = Context(outputs=outputs)
            except (AssertionError, KeyError, OSError, subprocess.CalledProcessError) as problem:
                print(f"  FAILED: {problem!r}")
                failed = True
            print(f"  {time.monotonic() - begun:6.1f} s  {title}")
    return None if failed else Context((key, filled(value, contexts)) for key, value in (job.get("outputs") or {}).items())


def main():
    in_full, failed = sys.argv[1:], []
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        done = Context()
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            print(f"{path.name}, job {name}:")
            # Jobs come in the order in which they need each other.
            needed = [job["needs"]] if "needs" in job else []
            outputs = None
            if set(needed) <= done.keys():
                outputs = run_job(job, Context({before: done[before] for before in needed}), name in in_full)
            if outputs is None:
                failed.append(name)
            else:
                done[name] = Context(outputs=outputs)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")


main()
