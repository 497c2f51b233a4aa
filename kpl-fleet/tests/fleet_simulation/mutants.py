#!/usr/bin/env python3
"""Breaks one rule of the engine at a time, in a copy, and checks that a test notices.

For each broken rule the tests in src/engine and tests/engine.rs run, then the simulation, then tests/fleet.rs, until one fails.

Usage: mutants.py [SEEDS [WORD]]    (default: 300 seeds; with WORD, only rules in whose name or file it occurs)
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SOURCES = "kpl-fleet/src/"
# A broken rule may make a test run without end.
SECONDS = "300"
# What runs, until one fails.
TESTS = [["--lib", "--test", "engine"], ["--test", "fleet_simulation"], ["--test", "fleet"]]

# (what is broken, file, the rule, what stands in its place)
MUTANTS = [
    ("a lease is taken before it stood still for the failover time", "engine/mod.rs",
     "match stood_still >= failover {", "match stood_still >= failover / 2 {"),
    ("a lease is taken some time after it stood still", "engine/mod.rs",
     "match stood_still >= failover {", "match stood_still >= failover * 3 {"),
    ("a lease counts as standing still although its counter grows", "engine/mod.rs",
     "(&seen.lease.owner, seen.lease.counter) == (&lease.owner, lease.counter)", "seen.lease.owner == lease.owner"),
    ("a lease counts as standing still although its owner changes", "engine/mod.rs",
     "let stood_still = asked.saturating_duration_since(seen.since);", "let stood_still = asked.saturating_duration_since(seen.first);"),
    ("what was left in this worker's name is not taken", "engine/mod.rs",
     "(Some(owner), None) if *owner != self.options.worker => match", "(Some(owner), None) => match"),
    ("a lease is taken that has ended", "engine/mod.rs", "!lease.is_ended() && !lease.is_handed_over", "!lease.is_handed_over"),
    ("a lease is taken before its parents have ended", "engine/mod.rs",
     "Some(parent) => parent.lease.is_ended(),", "Some(_) => true,"),
    ("a parent that is not there never counts as over", "engine/mod.rs", "None => seen.first < asked,", "None => false,"),
    ("a lease is taken while its records are still being handled", "engine/mod.rs",
     "(owner, Some(_)) => Holder::Other(owner.clone().unwrap_or_else(|| \"\".into())),",
     "(_, Some(_)) => Holder::Nobody { overdue: false },"),
    ("what nobody has is never overdue", "engine/mod.rs",
     "_ => Holder::Nobody {\n                overdue: stood_still >= failover,", "_ => Holder::Nobody {\n                overdue: false,"),
    ("leases are added that an old list suggests", "engine/mod.rs",
     "if now.saturating_duration_since(listed) > self.options.failover {", "if false {"),
    ("a list is compared with a look that is older", "engine/mod.rs",
     "take_if(|(_, listed)| *listed <= asked)", "take_if(|_| true)"),
    ("ended leases are removed at once", "engine/mod.rs", ">= 6 * self.options.failover", ">= Duration::ZERO"),
    ("ended leases stay", "engine/mod.rs", "for key in plan::done_with(&rows, &shards) {", "for key in plan::done_with(&rows, &shards).into_iter().take(0) {"),
    ("missing leases are not added", "engine/mod.rs",
     "for lease in plan::missing(&rows, &shards, &self.options.initial) {",
     "for lease in plan::missing(&rows, &shards, &self.options.initial).into_iter().take(0) {"),
    ("a child is added although a parent is not known", "engine/mod.rs",
     "children.iter().partition(|child| child.parents.iter().all(is_known));", "children.iter().partition(|_| true || is_known(&String::new()));"),
    ("shards are not listed when the children of one are not known", "engine/mod.rs",
     "(children.is_empty() || !others.is_empty()) && matches!", "(!others.is_empty() && children.is_empty()) && matches!"),
    ("losses are not learned from looks", "engine/mod.rs", "        self.note_losses();\n        if self.stopping", "        if self.stopping"),
    ("a worker that was told to stop takes leases", "engine/mod.rs",
     "        if self.stopping {\n            return;\n        }\n        self.take_leases", "        self.take_leases"),
    ("a lease that comes when the worker is to stop is handled", "engine/mod.rs",
     "if self.stopping && held.phase == Phase::Handling {", "if false {"),
    ("a worker has stopped before its leases are given up", "engine/mod.rs",
     "self.stopping && self.held.is_empty() && self.outputs.is_empty()", "self.stopping && self.outputs.is_empty()"),
    ("checkpoints of an earlier handling count", "engine/held.rs",
     "matches!(self.phase, Phase::Handling | Phase::Stopping) && self.token == token", "matches!(self.phase, Phase::Handling | Phase::Stopping)"),
    ("the end of an earlier handling counts", "engine/held.rs", "if self.token != token {", "if false {"),
    ("a lease is used for the whole failover time", "engine/held.rs", "failover - failover / 20", "failover + failover / 20"),
    ("a lease that cannot be renewed is used on", "engine/held.rs", "self.lose(Loss::NotRenewed, outputs);", ""),
    ("the time counts from the answer", "engine/held.rs",
     "self.carried_out(lease, request.made, options, outputs);", "self.carried_out(lease, now, options, outputs);"),
    ("of unanswered requests the last one counts", "engine/held.rs",
     "let made = self.unknown_since.unwrap_or(request.made);", "let made = request.made;"),
    ("leases are not renewed", "engine/held.rs", "false => self.renewed + options.failover / 3,", "false => self.renewed + 2 * options.failover,"),
    ("leases are renewed all the time", "engine/held.rs", "false => self.renewed + options.failover / 3,", "false => self.renewed,"),
    ("the counter is not expected", "lease.rs", "lease.owner == self.expected_owner && lease.counter == self.expected_counter", "lease.owner == self.expected_owner"),
    ("the owner is not expected", "lease.rs", "lease.owner == self.expected_owner && lease.counter == self.expected_counter", "lease.counter == self.expected_counter"),
    ("the counter does not grow", "lease.rs", "lease.counter = self.expected_counter + 1;", "lease.counter = self.expected_counter;"),
    ("a lost answer counts as a lost lease", "engine/held.rs",
     "Updated::Refused(Some(lease)) if self.is_ours(&lease, &request.update, options) => {", "Updated::Refused(Some(lease)) if false && self.is_ours(&lease, &request.update, options) => {"),
    ("any refused request counts as carried out", "engine/held.rs",
     "is_next && (lease.owner.as_ref() == owner || lease.owner.as_ref() == Some(&options.worker))", "is_next || owner.is_none()"),
    ("of a lease of any owner the next counter is ours", "engine/held.rs",
     "is_next && (lease.owner.as_ref() == owner || lease.owner.as_ref() == Some(&options.worker))", "is_next"),
    ("of a lease of this name any counter is ours", "engine/held.rs",
     "let is_next = lease.counter == update.expected_counter + 1;", "let is_next = lease.counter > update.expected_counter + 1;"),
    ("what was carried out is what was asked for", "engine/held.rs",
     "                self.carried_out(*lease, made, options, outputs);", "                let mut lease = *lease;\n                request.update.change(&mut lease);\n                self.carried_out(lease, made, options, outputs);"),
    ("a refused request does not lose the lease", "engine/held.rs",
     "Updated::Refused(_) => self.lose(Loss::Taken, outputs),", "Updated::Refused(_) => self.pause(now, rng),"),
    ("an unanswered take counts as a lease", "engine/held.rs",
     "Updated::Unknown if self.phase == Phase::Taking => self.phase = Phase::Over,", ""),
    ("old looks count", "engine/held.rs", "if is_known && is_later && lease.owner", "if is_known && lease.owner"),
    ("a look counts while a request is under way", "engine/held.rs",
     "let is_known = self.request.is_none() && self.unknown_since.is_none();", "let is_known = true;"),
    ("a checkpoint may be lower", "engine/held.rs", "if self.wanted.as_ref() < Some(&checkpoint) {", "if true {"),
    ("a checkpoint counts as saved when it is asked for", "engine/held.rs",
     ".is_some_and(|wanted| *wanted <= self.lease.checkpoint)", ".is_some_and(|_| true)"),
    ("a checkpoint is never reported as saved", "engine/held.rs", "outputs.push_back(Output::Saved(self.handling(), wanted));", "drop(wanted);"),
    ("a lease at its end is kept", "engine/held.rs",
     "if update.checkpoint == Some(Checkpoint::Ended) || self.phase == Phase::GivingUp {", "if self.phase == Phase::GivingUp {"),
    ("a lease is not given up", "engine/held.rs",
     "if update.checkpoint == Some(Checkpoint::Ended) || self.phase == Phase::GivingUp {", "if update.checkpoint == Some(Checkpoint::Ended) {"),
    ("a lease is given up while its records are handled", "engine/held.rs",
     "            self.phase = Phase::Stopping;\n", "            self.phase = Phase::GivingUp;\n"),
    ("a handling is stopped twice", "engine/held.rs", "        if self.phase == Phase::Handling {\n            self.phase = Phase::Stopping;", "        if self.is_handled_as(self.token) {\n            self.phase = Phase::Stopping;"),
    ("a lease that was lost can be taken before its handling has ended", "engine/held.rs",
     "Phase::Handling | Phase::Stopping => {\n                self.phase = Phase::Lost;", "Phase::Handling | Phase::Stopping => {\n                self.phase = Phase::Over;"),
    ("a lease that has ended is forgotten before its handling has", "engine/held.rs",
     "Phase::Handling | Phase::Stopping | Phase::Lost => Phase::Lost,", "Phase::Handling | Phase::Stopping | Phase::Lost => Phase::Over,"),
    ("a shard ends before its children have leases", "engine/held.rs", "        if self.missing.is_empty() {\n            update.checkpoint", "        if true {\n            update.checkpoint"),
    ("children are added once and no more", "engine/held.rs", "if self.creating == 0 {\n                self.creating", "if self.creating == 0 && self.failures == 0 {\n                self.creating"),
    ("a lease is not renewed while its children are added", "engine/held.rs",
     "if now < self.renewed + options.failover / 3 {\n                return;", "if now < self.renewed + options.failover {\n                return;"),
    ("the children are not written down", "engine/held.rs", "update.children.clone_from(&self.children);", ""),
    ("children are added under way count as there", "engine/held.rs", "        if is_there {\n", "        if true {\n"),
    ("there is no pause after a failure", "engine/held.rs", "self.retry_at = Some(now + Backoff", "self.retry_at = None;\n        let _ = Some(now + Backoff"),
    ("a worker takes everything that nobody has", "engine/balance.rs", "let wanted = share.saturating_sub(mine).max(overdue.len());", "let wanted = usize::MAX - share;"),
    ("a worker takes nothing beyond its share", "engine/balance.rs", "let wanted = share.saturating_sub(mine).max(overdue.len());", "let wanted = share.saturating_sub(mine);"),
    ("the limit does not hold", "engine/balance.rs", "let room = limits.leases.saturating_sub(mine);", "let room = limits.leases;"),
    ("leases are not taken from others", "engine/balance.rs", "(most.saturating_sub(mine) / 2)", "(most.saturating_sub(mine) / 200)"),
    ("leases are taken from others without end", "engine/balance.rs", "(most.saturating_sub(mine) / 2)", "most.saturating_sub(mine).min(1)"),
    ("all take from the richest at once", "engine/balance.rs", "if rng.usize(..poor) >= excess {", "if rng.usize(..poor) >= usize::MAX - excess {"),
    ("leases are taken from any other", "engine/balance.rs", "if **owner == *richest)", "if **owner == *richest || true)"),
    ("a fleet that started at the latest record leaves out later shards", "engine/plan.rs",
     "Checkpoint::Latest if !is_untouched => &Checkpoint::TrimHorizon,", "Checkpoint::Latest if !is_untouched && false => &Checkpoint::TrimHorizon,"),
    ("a child is added before all its parents have ended", "engine/plan.rs",
     "parents.iter().all(is_over).then_some(&Checkpoint::TrimHorizon)", "parents.iter().any(is_over).then_some(&Checkpoint::TrimHorizon)"),
    ("every shard is added at the start", "engine/plan.rs", "_ => parents.is_empty().then_some(initial),", "_ => Some(initial),"),
    ("descendants are not known", "engine/plan.rs", "queue.extend(children.get(id).into_iter().flatten());", ""),
    ("what came before a shard with a lease is read after it", "engine/plan.rs", "&& !settled.contains(parent)", "&& (true || settled.contains(parent))"),
    ("closed shards are added", "engine/plan.rs", "filter(|shard| !shard.closed)", "filter(|_| true)"),
    ("a lease is removed before its children are read", "engine/plan.rs", "lease.checkpoint > Checkpoint::Latest)", "lease.checkpoint >= Checkpoint::TrimHorizon)"),
    ("a lease is removed before its parents", "engine/plan.rs", "lease.is_ended() && is_first && !is_needed", "lease.is_ended() && !is_needed"),
    ("a lease is removed that has not ended", "engine/plan.rs", "lease.is_ended() && is_first && !is_needed", "is_first && !is_needed"),
]


def main() -> int:
    seeds = sys.argv[1] if len(sys.argv) > 1 else "300"
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    copy = target / "fleet-mutants" / "tree"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("target", ".git", "seeds", "corpus"))
    environment = os.environ | {"KPL_SEEDS": seeds, "CARGO_TARGET_DIR": str(target / "fleet-mutants")}
    mutants = [mutant for mutant in MUTANTS if word in mutant[0] or word in mutant[1]]
    for name, file, rule, _ in mutants:
        if (copy / SOURCES / file).read_text().count(rule) != 1:
            print(f"{name}: the rule is not there exactly once: {rule}")
            return 1

    survivors = 0
    for name, file, rule, broken in [("nothing", "lib.rs", "", "")] + mutants:
        path = copy / SOURCES / file
        text = path.read_text()
        path.write_text(text.replace(rule, broken) if rule else text)
        for tests in TESTS:
            command = ["timeout", SECONDS, "cargo", "test", "--quiet", "--package", "kpl-fleet", "--no-default-features"]
            command += tests
            run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
            if run.returncode:
                break
        path.write_text(text)
        output = run.stdout + run.stderr
        if "could not compile" in output:
            print(f"{name}: does not compile:\n{output}")
            return 1
        if not rule:
            if run.returncode:
                print(output)
                return 1
            print(f"{name:76} everything passes, with {seeds} seeds", flush=True)
            continue
        problems = [line for line in output.splitlines() if line.startswith("seed ") or line.endswith("FAILED")]
        survivors += not run.returncode
        noticed = (problems or ["noticed"])[0] if run.returncode else "SURVIVES"
        print(f"{name:76} {noticed}", flush=True)
    print(f"{len(mutants)} broken rules, {survivors} of them unnoticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
