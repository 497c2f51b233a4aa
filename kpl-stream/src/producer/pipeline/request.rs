//! Builds the requests of a stream.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use kpl_core::{AggregateError, SealedRecord, UnsealedRecord, seal_all};

use super::lane::{Lane, MAX_BYTES_PER_REQUEST};
use super::pack::Packed;
use super::record::{Entry, Held};
use super::request_size::Suspect;
use super::stream::Stream;
use super::turn::Turn;
use super::waiting::OfLane;
use crate::producer::outcome::FailureReason;

/// The records of some entries of a refused request.
#[derive(Debug)]
pub(super) struct Apart<H> {
    pub(super) groups: Vec<Vec<Held<H>>>,
    pub(super) suspect: Option<Arc<Suspect>>,
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub(super) struct Request<H> {
    pub(super) sealed: Vec<SealedRecord>,
    pub(super) entries: Vec<Entry<H>>,
    pub(super) suspect: Option<Arc<Suspect>>,
}

/// A request that is being built.
#[derive(Debug)]
struct Draft<H> {
    unsealed: Vec<UnsealedRecord>,
    entries: Vec<Entry<H>>,
    refused: Vec<(Held<H>, AggregateError)>,
    /// How many bytes may be added.
    room: usize,
    /// How many bytes the first entry may have.
    room_for_first: usize,
}

impl<H> Draft<H> {
    const fn room(&self) -> usize {
        if self.entries.is_empty() {
            self.room_for_first
        } else {
            self.room
        }
    }

    fn add(&mut self, lane: Option<&Lane>, packed: Packed<H>) {
        let size = packed.unsealed.size();
        self.room = self.room.saturating_sub(size);
        self.entries.push(Entry {
            shard_id: lane.and_then(|lane| lane.shard_id.clone()),
            lane: lane.map(|lane| lane.number),
            aggregated: packed.unsealed.is_aggregated(),
            size,
            records: packed.records,
        });
        self.unsealed.push(packed.unsealed);
    }

    fn finish(self, suspect: Option<Arc<Suspect>>) -> Option<Request<H>> {
        (!self.entries.is_empty()).then(|| Request {
            sealed: seal_all(self.unsealed),
            entries: self.entries,
            suspect,
        })
    }
}

impl<H> Stream<H> {
    /// Returns when the next request should be sent.
    pub(super) fn request_at(&self, now: Instant) -> Option<Instant> {
        if !self.apart.is_empty() {
            return Some(now);
        }
        let full = if self.has_enough() { self.full.first() } else { None };
        self.due.first().into_iter().chain(full).map(|(at, _)| at).min()
    }

    /// Returns the next request, if it is time for one. It has at most `room` bytes, unless it is the `only` one in
    /// flight: then its first entry may have any size.
    pub(super) fn request(&mut self, room: usize, only: bool, turn: &mut Turn<'_, H>) -> Option<Request<H>> {
        let now = turn.now;
        self.request_size.grow(now);
        if let Some(apart) = self.apart.pop_front() {
            return self.request_apart(apart, room, only, turn);
        }
        let most = self.options.collection_max_count;
        let mut lanes: Vec<usize> = self.due.due(now).take(most).collect();
        if self.has_enough() {
            let due: HashSet<usize> = lanes.iter().copied().collect();
            lanes.extend(self.full.due(now).filter(|lane| !due.contains(lane)).take(most));
        }
        let mut draft = self.draft(room, only);
        for lane in lanes {
            self.fill(&mut draft, lane, turn);
            self.reschedule(lane, turn);
            if draft.entries.len() >= most || draft.room == 0 {
                break;
            }
        }
        for (held, error) in std::mem::take(&mut draft.refused) {
            self.refuse(held, &error, turn);
        }
        draft.finish(None)
    }

    /// Returns a request without entries.
    fn draft(&self, room: usize, only: bool) -> Draft<H> {
        Draft {
            unsealed: Vec::new(),
            entries: Vec::new(),
            refused: Vec::new(),
            room: room.min(self.request_size.limit()),
            room_for_first: if only { usize::MAX } else { room },
        }
    }

    /// Adds a Kinesis record of a lane.
    fn add(&mut self, draft: &mut Draft<H>, lane: usize, packed: Packed<H>, now: Instant) {
        let mut lane = self.lanes.get_mut(lane);
        if let Some(lane) = &mut lane {
            lane.sent(packed.unsealed.size(), now, &mut self.random);
        }
        draft.add(lane.as_deref(), packed);
    }

    /// Adds what a lane may send now.
    fn fill(&mut self, draft: &mut Draft<H>, lane: usize, turn: &Turn<'_, H>) {
        let mut of_lane = 0;
        while draft.entries.len() < self.options.collection_max_count && of_lane < MAX_BYTES_PER_REQUEST {
            let Some(state) = self.lanes.get(lane) else { return };
            if of_lane > 0 && (state.limiter.is_probing() || !state.limiter.has_room()) {
                return;
            }
            let Some(first) = self.waiting.front(lane) else { return };
            let bytes = self.waiting.bytes(lane);
            let is_full = self.packer.count_full(bytes, self.waiting.count(lane)) > 0;
            if !is_full && self.due_at(first, turn) > turn.now {
                return;
            }
            if self.packer.expected_size(first, bytes) > draft.room() {
                return;
            }
            let mut of_lane_waiting = OfLane {
                waiting: &mut self.waiting,
                lane,
            };
            let Some(packed) = self.packer.pack_next(&mut of_lane_waiting, &mut draft.refused) else {
                return;
            };
            let size = packed.unsealed.size();
            if size > draft.room() {
                for held in packed.records.into_iter().rev() {
                    self.waiting.push(held);
                }
                return;
            }
            self.waiting.lock(&packed.records);
            of_lane += size;
            self.add(draft, lane, packed, turn.now);
        }
    }

    /// Sends these parts of a refused request next, in this order.
    pub(super) fn set_apart(&mut self, parts: Vec<Apart<H>>) {
        for part in parts.into_iter().rev() {
            self.apart.push_front(part);
        }
    }

    /// Returns a request for a part of a refused one, within the same limits as any other.
    fn request_apart(
        &mut self,
        apart: Apart<H>,
        room: usize,
        only: bool,
        turn: &mut Turn<'_, H>,
    ) -> Option<Request<H>> {
        let Apart { groups, suspect } = apart;
        let mut draft = self.draft(room, only);
        let mut rest = Vec::new();
        for group in groups {
            let mut by_lane: Vec<(usize, VecDeque<Held<H>>)> = Vec::new();
            for held in group {
                let lane = self.lane_for(&held);
                match by_lane.iter_mut().find(|(index, _)| *index == lane) {
                    Some((_, records)) => records.push_back(held),
                    None => by_lane.push((lane, VecDeque::from([held]))),
                }
            }
            for (lane, mut records) in by_lane {
                while let Some(packed) = self.packer.pack_next(&mut records, &mut draft.refused) {
                    // If the shards changed, there may be more entries than before, and they may be larger.
                    let fits = draft.entries.len() < self.options.collection_max_count
                        && packed.unsealed.size() <= draft.room();
                    if fits && rest.is_empty() {
                        self.add(&mut draft, lane, packed, turn.now);
                    } else {
                        rest.push(packed.records);
                    }
                }
                self.reschedule(lane, turn);
            }
        }
        for (held, error) in std::mem::take(&mut draft.refused) {
            self.fail_in_flight(held, FailureReason::Refused(Arc::new((&error).into())), turn);
        }
        if rest.is_empty() {
            return draft.finish(suspect);
        }
        // Only a whole part says something about the size of the refused request.
        self.apart.push_front(Apart {
            groups: rest,
            suspect: suspect.filter(|_| draft.entries.is_empty()),
        });
        draft.finish(None)
    }
}
