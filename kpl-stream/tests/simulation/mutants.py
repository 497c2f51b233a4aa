#!/usr/bin/env python3
"""Breaks one rule of the pipeline at a time, in a copy, and checks that a test notices.

For each broken rule tests/pipeline.rs runs, and, unless it fails, the simulation. For some files another test is the first.

Usage: mutants.py [SEEDS [WORD]]    (default: 2000 seeds; with WORD, only rules in whose name or file it occurs)
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PIPELINE = "kpl-stream/src/producer/pipeline/"

# (what is broken, file, the rule, what stands in its place)
MUTANTS = [
    ("retried records are not predicted anew", "stream.rs",
     "Mode::Predicted => self.shards.index_of(held.record.hash_key()),",
     "Mode::Predicted if held.failed.is_none() => self.shards.index_of(held.record.hash_key()),\n            Mode::Predicted => 0,"),
    ("strays count as delivered", "judge.rs",
     "            Landed::Wrong => self.wrong_shard(entry, written, times, turn),\n",
     "            Landed::Wrong => self.deliver(entry, written, times, turn),\n"),
    ("an unknown shard counts as the right one", "judge.rs",
     "return if may_know_soon { Landed::Unknown } else { Landed::Wrong };", "return Landed::Right;"),
    ("records are aggregated although shards are unknown", "pack.rs",
     "self.separate = !is_known || !self.aggregation_enabled;", "self.separate = !self.aggregation_enabled && is_known;"),
    ("a wrong number of results is taken as right", "judge.rs",
     "Ok(results) if results.len() == request.entries.len() => {", "Ok(results) => {"),
    ("an unknown outcome is not told", "judge.rs",
     "held.maybe_written |= class == ErrorClass::Unknown;", ""),
    ("a refused request fails whole", "judge.rs",
     "if has_many_records && self.refusals < REFUSED_IN_A_ROW {", "if has_many_records && self.refusals > REFUSED_IN_A_ROW {"),
    ("a request that is too large fails whole", "judge.rs",
     "if class == ErrorClass::TooLarge && has_many_records {", "if class == ErrorClass::TooLarge && times.started > times.ended {"),
    ("records that failed for now are forgotten", "judge.rs",
     "                held.maybe_written |= class == ErrorClass::Unknown;\n            }\n            self.come_back(again, turn);",
     "                held.maybe_written |= class == ErrorClass::Unknown;\n            }\n            drop(again);"),
    ("a throttled record is given up", "judge.rs",
     "(class == ErrorClass::Throttled && self.options.fail_if_throttled);", "class == ErrorClass::Throttled;"),
    ("closing forgets what waits for the shards", "stream.rs",
     "        records.extend(self.unrouted.drain(..));\n        records.extend(self.apart", "        records.extend(self.apart"),
    ("closing forgets the parts of a refused request", "stream.rs",
     "        records.extend(self.apart.drain(..).flat_map(|apart| apart.groups).flatten());\n", "        self.apart.clear();\n"),
    ("closing forgets what is in flight", "mod.rs",
     "in std::mem::take(&mut self.in_flight) {", "in std::mem::take(&mut self.in_flight).into_iter().take(0) {"),
    ("the buffer has no bound", "../intake.rs",
     "        record.forget();\n        bytes.forget();\n        Ok(())", "        drop((record, bytes));\n        Ok(())"),
    ("requests in flight have no bound", "mod.rs",
     "self.in_flight.len() < self.options.max_connections && !self.waits_for_room", "!self.waits_for_room"),
    ("bytes in flight have no bound", "mod.rs",
     "let room = most.saturating_sub(self.bytes_in_flight);", "let room = most;"),
    ("a request may have any number of entries", "request.rs",
     "while draft.entries.len() < self.options.collection_max_count && of_lane", "while of_lane"),
    ("a Kinesis record that needs more room than there is is sent", "request.rs",
     "            if size > draft.room() {", "            if size > usize::MAX - 1 {"),
    ("an entry takes no room", "request.rs",
     "        self.room = self.room.saturating_sub(size);\n", ""),
    ("a flush does not wait", "flushes.rs",
     "if self.pending.len() > 1 && self.pending.front() == Some(&0) {", "if self.pending.len() > 1 {"),
    ("keys are not locked while they are in flight", "order.rs",
     "self.change(&name, |key| key.locked += alike.len());", "self.change(&name, |_| ());"),
    ("keys stay locked", "order.rs",
     "self.change(&name, |key| key.locked = key.locked.saturating_sub(1))", "self.change(&name, |_| ())"),
    ("a key is unlocked with its first record", "order.rs",
     "key.locked = key.locked.saturating_sub(1)", "key.locked = 0"),
    ("a record that comes back goes to the end", "waiting.rs",
     "if records.back().is_none_or(|last| last.number < held.number) {", "if records.len() < usize::MAX {"),
    ("a record that comes back goes to the front", "waiting.rs",
     "records.partition_point(|other| other.number < held.number);", "0;"),
    ("a shard that fails gets several requests at once", "lane.rs",
     "if self.in_flight > 0 && (self.failures > 0 || self.limiter.is_restrained()) {", "if self.in_flight > usize::MAX - 1 {"),
    ("a shard that is restrained gets several requests at once", "lane.rs",
     "(self.failures > 0 || self.limiter.is_restrained())", "self.failures > 0"),
    ("there is no pause after a failure", "lane.rs",
     "            self.paused_until = Some(times.ended + pause);", "            self.paused_until = Some(times.ended + pause / 100);"),
    ("pauses do not grow", "lane.rs",
     "Backoff::RECORDS.pause(self.failures, random.f64())", "Backoff::RECORDS.pause(0, random.f64())"),
    ("there is no pause after a refusal", "limiter.rs",
     "        self.paused_until = Some(now + Duration::from_secs_f64(pause));", "        self.paused_until = Some(now + Duration::from_secs_f64(pause / 100.0));"),
    ("a key's records in other lanes expire later", "order.rs",
     "while let Some(held) = key.waiting.pop_front_if(|held| test(held)) {", "if let Some(held) = key.waiting.pop_front_if(|held| test(held)) {"),
    ("requests are waited for without end", "mod.rs",
     "let is_late = |started: Instant| clock::after(started, timeout) <= now;", "let is_late = |started: Instant| clock::after(started, timeout * 1_000_000) <= now;"),
    ("sub-sequence numbers start with 1", "judge.rs",
     "sub_sequence_number: index as u64,", "sub_sequence_number: index as u64 + 1,"),
    ("expired records are not told", "stream.rs",
     "            for held in over {\n                self.expire(held, turn);\n            }", "            drop(over);"),
    ("only one record expires at a time", "stream.rs",
     "over.extend(self.waiting.take_oldest(is_over));", "let mut taken = self.waiting.take_oldest(is_over).into_iter();\n        over.extend(taken.next());\n        taken.for_each(|held| self.waiting.push(held));"),
    ("a key's later records may follow into another lane", "order.rs",
     "key.waiting.front().filter(|next| next.lane == lane)", "key.waiting.front()"),
    ("the halves of an aggregate do not wait for each other", "judge.rs",
     "if self.options.ordered {", "if self.options.collection_max_count == 0 {"),
    ("a flush does not make records due", "stream.rs",
     "held.failed.is_some() || held.flush < turn.next_flush", "held.failed.is_some()"),
    ("a flush makes later records due", "stream.rs", "held.flush < turn.next_flush", "held.flush <= turn.next_flush"),
    ("a flush does not hurry", "stream.rs",
     "self.due.later(turn.now).collect();", "self.due.later(turn.now).take(0).collect();"),
    ("a failed record waits for others again", "stream.rs",
     "held.failed.is_some() || held.flush", "held.flush"),
    ("a burst for one shard waits until it is due", "stream.rs",
     "if bytes >= MAX_BYTES_PER_REQUEST.max(complete) {", "if bytes == usize::MAX {"),
    ("enough entries for a request wait until they are due", "stream.rs",
     "self.full_count >= self.options.collection_max_count\n", "self.full_count == usize::MAX\n"),
    ("enough bytes for a request wait until they are due", "stream.rs",
     "self.full_count.saturating_mul(self.packer.full_size()) >= self.request_size.limit()", "false"),
    ("a record that completes a Kinesis record goes unnoticed", "stream.rs",
     "if before == 0 || grew || !is_new {", "if before == 0 || (grew && bytes == 0) || !is_new {"),
    ("expired records do not say why shards are not listed", "stream.rs", "last.or_else(listing)", "last.or_else(|| listing().filter(|_| false))"),
    ("a shard that stays forgets what was learned", "stream.rs", "lane.succeed(before);", "drop(before);"),
    ("a shard that stays does not count what is in flight", "lane.rs",
     "            full: 0,\n            ..before", "            full: 0,\n            in_flight: 0,\n            ..before"),
    ("late answers count for lanes that came later", "stream.rs",
     "(Some(lane.number) == entry.lane).then_some(place)", "(lane.shard_id == entry.shard_id).then_some(place)"),
    ("a changed mode is not followed", "stream.rs", "if self.shards.mode() != self.routed {", "if self.lanes.len() > usize::MAX - 1 {"),
    ("routing anew forgets what waited for the shards", "stream.rs",
     "records.extend(self.unrouted.drain(..));\n        records.sort", "self.unrouted.clear();\n        records.sort"),
    ("routing anew keeps how records are packed", "stream.rs", "self.packer.set_mode(mode);", ""),
    ("a stream that ignores keys has the room of one shard", "stream.rs",
     "if mode == Mode::Auto { self.shards.ids().len() } else { 1 }", "1"),
    ("closing forgets what landed in an unknown shard", "stream.rs",
     "for unjudged in self.unjudged.drain(..) {", "for unjudged in self.unjudged.drain(..).take(0) {"),
    ("what is in flight when it closes counts as not written", "record.rs", "        self.maybe_written = true;", ""),
    ("pauses have no cap", "lane.rs", ".min(record_ttl / 4)", ""),
    ("a shard that accepts again counts as failing", "lane.rs",
     "self.failures = 0;\n            self.paused_until = None;", "self.paused_until = None;"),
    ("a shard that accepts again stays paused", "lane.rs",
     "self.failures = 0;\n            self.paused_until = None;", "self.failures = 0;"),
    ("requests that fail together lengthen the pause together", "lane.rs",
     "if verdict.failed && self.failed.is_none_or(|failed| failed <= times.started) {", "if verdict.failed {"),
    ("a refusal does not lower the rate", "limiter.rs", "self.lower(now);", "let _ = now;"),
    ("nothing is tried out after a refusal", "limiter.rs", "self.probing = true;", "self.probing = false;"),
    ("trying out never ends", "limiter.rs", "self.probing &= accepted.records == 0;", ""),
    ("a shard gets more than its rate", "request.rs", "|| !state.limiter.has_room()", ""),
    ("several records try out whether there is room", "request.rs", "state.limiter.is_probing() || ", ""),
    ("a shard gets any number of bytes in a request", "request.rs", " && of_lane < MAX_BYTES_PER_REQUEST {", " {"),
    ("the first entry has no more room than others", "request.rs",
     "room_for_first: if only { usize::MAX } else { room },", "room_for_first: if only { room } else { room },"),
    ("a large record does not wait for others in flight", "request.rs",
     "room_for_first: if only { usize::MAX } else { room },", "room_for_first: if only { usize::MAX } else { usize::MAX },"),
    ("the parts of a refused request have no limits", "request.rs", "if fits && rest.is_empty() {", "if fits || rest.is_empty() {"),
    ("the parts of a refused request keep their shards", "request.rs", "let lane = self.lane_for(&held);", "let lane = held.lane;"),
    ("a request that needs room is asked for again and again", "mod.rs",
     "self.waits_for_room = !self.in_flight.is_empty();", "self.waits_for_room = false;"),
    ("an answer does not make room", "mod.rs",
     "self.bytes_in_flight -= request.bytes;\n        self.waits_for_room = false;", "self.bytes_in_flight -= request.bytes;"),
    ("closing does not cancel requests", "mod.rs",
     "in std::mem::take(&mut self.in_flight) {\n            self.out.outputs.push_back(Output::Cancel { id });",
     "in std::mem::take(&mut self.in_flight) {\n            let _ = id;"),
    ("lists of shards are waited for without end", "mod.rs", "is_late(*started))", "is_late(*started) && false)"),
    ("a stream that is opened again repeats its error", "mod.rs", "stream.shards.open_again(now);", ""),
    ("flushes count their records twice", "flushes.rs", "*pending += count;", "*pending += 2 * count;"),
    ("refusals are counted for ever", "judge.rs", "                self.refusals = 0;\n", ""),
    ("a stream may refuse any number of entries one by one", "judge.rs",
     "if has_many_records && self.refusals < REFUSED_IN_A_ROW {", "if has_many_records {"),
    ("any code may be because of one entry", "judge.rs",
     "if class == ErrorClass::Permanent && may_be_one_entry(&error.code) {", "if class == ErrorClass::Permanent {"),
    ("requests do not become smaller", "judge.rs",
     "            if has_many_entries {\n                self.request_size.refused(size, &self.name, turn.now);\n            }\n", ""),
    ("halves that are taken say nothing about sizes", "judge.rs",
     "                    self.request_size.refused(size, &self.name, turn.now);\n                }\n                for", "                    let _ = size;\n                }\n                for"),
    ("an entry in another shard counts for its own", "judge.rs",
     "if is_elsewhere(entry, written) => Some(ErrorClass::Unknown),", "if is_elsewhere(entry, written) => None,"),
    ("a lack of room counts as a failure", "judge.rs",
     "Some(ErrorClass::Throttled) => verdict.throttled.add(entry.size),", "Some(ErrorClass::Throttled) => verdict.failed = true,"),
    ("a failure counts as a lack of room", "judge.rs",
     "Some(ErrorClass::Transient | ErrorClass::Unknown) => verdict.failed = true,",
     "Some(ErrorClass::Transient | ErrorClass::Unknown) => verdict.throttled.add(entry.size),"),
    ("the shards of a stream that ignores keys are judged", "judge.rs",
     "        if self.shards.mode() == Mode::Auto {\n", "        if self.lanes.len() > usize::MAX - 1 {\n"),
    ("single records are judged by their shard", "judge.rs",
     "if expected || !entry.aggregated || entry.records.len() == 1 {", "if expected {"),
    ("an unknown shard does not cast doubt on the list", "judge.rs",
     "if !expected && entry.shard_id.is_some() && self.shards.range_of(&written.shard_id).is_none() {",
     "if !expected && entry.shard_id.is_none() && self.shards.range_of(&written.shard_id).is_none() {"),
    ("an unknown shard is wrong at once", "judge.rs",
     "return if may_know_soon { Landed::Unknown } else { Landed::Wrong };", "return if may_know_soon { Landed::Wrong } else { Landed::Wrong };"),
    ("a stream that was created anew seems to ignore keys", "judge.rs",
     "            if self.shards.is_older_than(times.started) {\n                return Landed::Unknown;\n            }\n", ""),
    ("an entry in a shard that stays unknown is delivered", "judge.rs",
     "Landed::Right => self.deliver(entry, written, times, turn),\n                Landed::Unknown | Landed::Wrong =>",
     "Landed::Right | Landed::Unknown => self.deliver(entry, written, times, turn),\n                Landed::Wrong =>"),
    ("only strays are sent again, whatever the options say", "judge.rs",
     "if let (true, Some(range)) = (self.options.resend_strays_only, range) {", "if let Some(range) = range {"),
    ("all of an aggregate is sent again, whatever the options say", "judge.rs",
     "(self.options.resend_strays_only, range)", "(false, range)"),
    ("a stream that is gone keeps its shards", "judge.rs", "self.shards.forget(turn.now);", ""),
    ("a lack of configuration counts as a refusal", "judge.rs",
     "ErrorClass::Configuration => FailureReason::Configuration(error),", ""),
    ("the attempts of a refused request are not told", "judge.rs",
     "            for held in &mut entry.records {\n                held.attempt_failed(times, &error);\n            }\n", ""),
    ("records fail while their stream does not exist yet", "shards.rs",
     "(None, Some(error)) if error.class != ErrorClass::NotFound => Mode::Unpredicted,", "(None, Some(_)) => Mode::Unpredicted,"),
    ("what a stream says of its keys is not believed", "shards.rs",
     "Some(Distribution::UserPartitionKey) => false,", "Some(Distribution::UserPartitionKey) => self.keys_ignored,"),
    ("a stream never turns out to ignore keys", "shards.rs", "None => self.keys_ignored,", "None => false,"),
    ("a stream that ignored keys once always does", "shards.rs", "                self.keys_ignored = false;\n", ""),
    ("a doubt does not list shards", "shards.rs", "self.next = self.next.min(self.not_before);", ""),
    ("old answers cast doubt on a newer list", "shards.rs", "if self.is_older_than(sent) {", "if sent <= self.not_before {"),
    ("shards are listed at any rate", "shards.rs", "self.not_before = now + LISTED_AT_MOST_EVERY;", "self.not_before = now;"),
    ("shards are not listed from time to time", "shards.rs",
     ".mul_f64(0.8 + 0.4 * random.f64());", ".mul_f64(100.0 + 0.4 * random.f64());"),
    ("shards are listed again at once if that fails", "shards.rs",
     "self.next = now + Backoff::READS.pause(self.failures, random.f64());", "self.next = now + Backoff::READS.pause(self.failures, random.f64()) / 100;"),
    ("pauses between lists do not grow", "shards.rs", "self.failures = self.failures.saturating_add(1);", ""),
    ("shards that cannot be listed are forgotten", "shards.rs",
     "if error.class == ErrorClass::NotFound {\n                    self.map = None;", "if error.class != ErrorClass::TooLarge {\n                    self.map = None;"),
    ("a list says nothing new about the same mode", "shards.rs",
     "        before != (self.mode(), self.map.as_ref().map(|map| map.map.clone()))", "        before.0 != self.mode()"),
    ("a record that did not fit is forgotten", "pack.rs",
     "drop(self.aggregator().finish_unsealed());\n                        source.put_back(held);", "drop(self.aggregator().finish_unsealed());"),
    ("a record that is too large for an aggregate is refused", "pack.rs",
     "Err(AggregateError::TooLarge { .. }) => match self.alone.push_unsealed(&held.record) {",
     "Err(AggregateError::TooLarge { .. }) if held.record.size() == 0 => match self.alone.push_unsealed(&held.record) {"),
    ("records before one that is too large are forgotten", "pack.rs",
     "Err(AggregateError::TooLarge { .. }) if !records.is_empty() => {", "Err(AggregateError::TooLarge { .. }) if records.len() > usize::MAX - 1 => {"),
    ("aggregation_max_count completes no Kinesis record", "pack.rs",
     "(bytes / self.aggregation_max_size).max(records / self.aggregation_max_count)",
     "(bytes / self.aggregation_max_size).max(records / usize::MAX)"),
    ("aggregates may have any number of records", "pack.rs", ".max_count(options.aggregation_max_count);", ";"),
    ("aggregation is always enabled", "pack.rs", "!is_known || !self.aggregation_enabled", "!is_known"),
    ("measures are kept although nobody takes them", "measures.rs", "Self { kept: None }", "Self { kept: Some(Vec::new()) }"),
    ("records that are alike are measured one by one", "measures.rs",
     "chunk_by(|one, other| buffered(one) == buffered(other))", "chunk_by(|_, _| false)"),
    ("records that are alike are measured as one", "measures.rs", "value, alike.len());", "value, 1);"),
    ("expired records are not measured", "turn.rs",
     "self.out.measures.add(Metric::UserRecordExpired, stream, 1.0);", ""),
    ("a limit that was learned is no lower", "request_size.rs", "self.limit.min(size / 2);", "self.limit.min(size);"),
    ("a limit that was learned stays", "request_size.rs", "self.limit.max(1).saturating_mul(2)", "self.limit.max(1)"),
    ("one half that is taken says that the whole was too large", "request_size.rs",
     "Ordering::Relaxed) == 1)", "Ordering::Relaxed) == 0)"),
]

# Tests that have claims about a file, besides the simulation and the tests of the pipeline.
OTHERS = {"limiter.rs": ["overload"], "../intake.rs": ["bounds"]}
# A broken rule may make a test wait without end.
SECONDS = "600"


def caught_by(output: str, status: int) -> list[str]:
    """Returns what noticed the broken rule: the seed's message, and the names of tests."""
    caught = re.findall(r"^seed \d+: .*", output, re.MULTILINE)[:1]
    names = re.findall(r"^---- (\S+) stdout ----$", output, re.MULTILINE)
    caught += [name for name in names if name != "every_claim_holds_for_every_seed" or not caught]
    if status == 124:
        caught.append("it does not end")
    return caught


def main() -> int:
    seeds = sys.argv[1] if len(sys.argv) > 1 else "2000"
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    copy = target / "simulation-mutants" / "tree"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("target", ".git", "seeds", "corpus"))
    environment = os.environ | {"KPL_SEEDS": seeds, "CARGO_TARGET_DIR": str(target / "simulation-mutants")}
    mutants = [mutant for mutant in MUTANTS if word in mutant[0] or word in mutant[1]]
    for name, file, rule, _ in mutants:
        if (copy / PIPELINE / file).read_text().count(rule) != 1:
            print(f"{name}: the rule is not there exactly once: {rule}")
            return 1

    survivors = 0
    for name, file, rule, broken in [("nothing", "mod.rs", "", "")] + mutants:
        path = copy / PIPELINE / file
        text = path.read_text()
        path.write_text(text.replace(rule, broken) if rule else text)
        command = ["timeout", SECONDS, "cargo", "test", "--quiet", "--package", "kpl-stream", "--no-default-features"]
        for test in ["simulation", "pipeline"] + OTHERS.get(file, []):
            command += ["--test", test]
        command += ["--", "--skip", "a_seed_replays_exactly"]
        run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        path.write_text(text)
        output = run.stdout + run.stderr
        caught = caught_by(output, run.returncode)
        if "could not compile" in output or (run.returncode and not caught):
            print(f"{name}: does not run:\n{output}")
            return 1
        if not rule:
            if caught:
                print(output)
                return 1
            print(f"{name:62} everything passes, with {seeds} seeds", flush=True)
            continue
        survivors += not caught
        print(f"{name:62} {'; '.join(caught) or 'SURVIVES'}", flush=True)
    print(f"{len(mutants)} broken rules, {survivors} of them unnoticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
