//! Decides which message is in which lane: fills the lanes, and refills each one when its message ends.

use super::Digest;
use super::lanes::Kernel;
use super::rounds::{Block, Group, INITIAL};
use super::scalar;

/// Groups of lanes that a kernel can advance together.
const GROUPS: usize = 2;

/// Calls `done` with the digest of each message and the number that came with the message.
pub(super) fn run<const L: usize>(
    kernel: Kernel<L>,
    messages: &mut dyn Iterator<Item = (usize, &[u8])>,
    done: &mut dyn FnMut(usize, Digest),
) {
    let mut lanes = [[Lane::EMPTY; L]; GROUPS];
    let lanes = lanes.as_flattened_mut();
    let mut states = States([[[0; L]; 4]; GROUPS]);

    // The lanes in use are always the first ones.
    let mut used = 0;
    for (lane, (index, message)) in lanes.iter_mut().zip(&mut *messages) {
        lane.fill(index, message);
        states.set(used, INITIAL);
        used += 1;
    }
    while used > 1 {
        let blocks = advance(kernel, &mut states, &lanes[..used]);
        // Backwards, so that the lane that takes the place of an ended one has already had its turn.
        for place in (0..used).rev() {
            let lane = &mut lanes[place];
            lane.skip(blocks);
            if !lane.input().is_empty() {
                continue;
            }
            done(lane.index, digest(states.get(place)));
            if let Some((index, message)) = messages.next() {
                lane.fill(index, message);
                states.set(place, INITIAL);
            } else {
                used -= 1;
                if place < used {
                    lanes[place] = lanes[used];
                    states.set(place, states.get(used));
                }
            }
        }
    }
    // One lane of a vector is slower than using no vector at all.
    if used == 1 {
        let lane = &lanes[0];
        done(lane.index, lane.finish(states.get(0)));
    }
}

/// Returns the digest of one message.
pub(super) fn one(message: &[u8]) -> Digest {
    let (whole, rest) = message.as_chunks();
    let mut state = INITIAL;
    scalar::compress(&mut state, whole);
    let mut end = [[0; 64]; 2];
    let bytes = end.as_flattened_mut();
    bytes[..rest.len()].copy_from_slice(rest);
    bytes[rest.len()] = 0x80;
    let end = if rest.len() + 1 + 8 <= 64 {
        &mut end[..1]
    } else {
        &mut end[..]
    };
    if let Some(length) = end.as_flattened_mut().last_chunk_mut() {
        *length = (message.len() as u64).wrapping_mul(8).to_le_bytes();
    }
    scalar::compress(&mut state, end);
    digest(state)
}

/// Advances all `lanes` until the first of them has used up its input. Returns the number of blocks.
fn advance<const L: usize>(kernel: Kernel<L>, states: &mut States<L>, lanes: &[Lane<'_>]) -> usize {
    // Lanes without a message repeat the work of the first one.
    let mut inputs = [[lanes[0].input(); L]; GROUPS];
    let mut blocks = usize::MAX;
    for (input, lane) in inputs.as_flattened_mut().iter_mut().zip(lanes) {
        *input = lane.input();
        blocks = blocks.min(input.len());
    }
    let groups = lanes.len().div_ceil(L);
    kernel.run(&mut states.0[..groups], &inputs[..groups], blocks);
    blocks
}

/// The part of a message that has not been read yet.
#[derive(Clone, Copy)]
struct Lane<'m> {
    index: usize,
    /// Whole blocks, to be read from where they are.
    whole: &'m [Block],
    /// The last blocks of the message, with the padding of RFC 1321.
    end: [Block; 2],
    /// How many of `end` are done, or were not needed.
    end_done: usize,
}

impl<'m> Lane<'m> {
    const EMPTY: Self = Self {
        index: 0,
        whole: &[],
        end: [[0; 64]; 2],
        end_done: 2,
    };

    fn fill(&mut self, index: usize, message: &'m [u8]) {
        // A byte with the first bit of the padding and 8 bytes of length (RFC 1321 sections 3.1
        // and 3.2) have to fit in.
        let blocks = (message.len() + 8) / 64 + 1;
        let end_blocks = blocks.min(2);
        self.index = index;
        self.whole = &message.as_chunks().0[..blocks - end_blocks];
        self.end_done = 2 - end_blocks;

        let rest = &message[64 * self.whole.len()..];
        let end = self.end[self.end_done..].as_flattened_mut();
        end[..rest.len()].copy_from_slice(rest);
        end[rest.len()] = 0x80;
        end[rest.len() + 1..].fill(0);
        if let Some(length) = end.last_chunk_mut() {
            *length = (message.len() as u64).wrapping_mul(8).to_le_bytes();
        }
    }

    /// Returns the digest of the message, of which this state is that of the blocks so far.
    fn finish(&self, mut state: [u32; 4]) -> Digest {
        scalar::compress(&mut state, self.whole);
        scalar::compress(&mut state, self.rest_of_end());
        digest(state)
    }

    /// Returns the next blocks that are contiguous in memory, or none at the end of the message.
    fn input(&self) -> &[Block] {
        if self.whole.is_empty() {
            self.rest_of_end()
        } else {
            self.whole
        }
    }

    fn rest_of_end(&self) -> &[Block] {
        &self.end[self.end_done..]
    }

    /// Skips the first blocks of the `input`.
    fn skip(&mut self, blocks: usize) {
        if self.whole.is_empty() {
            self.end_done += blocks;
        } else {
            self.whole = &self.whole[blocks..];
        }
    }
}

/// The state of each lane, in the order that the kernels use.
struct States<const L: usize>([Group<L>; GROUPS]);

impl<const L: usize> States<L> {
    fn get(&self, lane: usize) -> [u32; 4] {
        self.0[lane / L].each_ref().map(|words| words[lane % L])
    }

    fn set(&mut self, lane: usize, state: [u32; 4]) {
        for (words, word) in self.0[lane / L].iter_mut().zip(state) {
            words[lane % L] = word;
        }
    }
}

/// Writes a state as bytes (RFC 1321 section 3.5).
fn digest(state: [u32; 4]) -> Digest {
    let mut digest = [0; 16];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    digest
}
