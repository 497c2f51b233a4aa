//! The compression function of RFC 1321 section 3.4, for any vector type.
//!
//! `kernel!` writes it out in the module of one instruction set, which brings the vector type
//! and its arithmetic. It is a macro because a function with `#[target_feature]` can neither be
//! a trait method that safe code calls nor be passed to a generic function.

/// The bytes that one application of the compression function consumes.
pub(super) type Block = [u8; 64];

/// The A, B, C and D of `L` messages, side by side.
pub(super) type Group<const L: usize> = [[u32; L]; 4];

/// How many blocks ahead the kernels prefetch their inputs. There are more inputs than a machine follows by itself:
/// without this, 16 lanes lose up to half of their speed outside the cache.
pub(super) const AHEAD: usize = 4;

/// A, B, C and D before the first block (RFC 1321 section 3.3).
pub(super) const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The table T of RFC 1321 section 3.4: the integer part of `4294967296 * abs(sin(i + 1))`.
#[rustfmt::skip]
pub(super) const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// Calls `$step!(function, a b c d, (word sine), shift)` for each of the 64 steps of RFC 1321
/// section 3.4, where a to d are places in the state.
macro_rules! steps {
    ($step:ident) => {
        steps!(@round $step, f, 7 12 17 22,
            (0 0)(1 1)(2 2)(3 3), (4 4)(5 5)(6 6)(7 7),
            (8 8)(9 9)(10 10)(11 11), (12 12)(13 13)(14 14)(15 15));
        steps!(@round $step, g, 5 9 14 20,
            (1 16)(6 17)(11 18)(0 19), (5 20)(10 21)(15 22)(4 23),
            (9 24)(14 25)(3 26)(8 27), (13 28)(2 29)(7 30)(12 31));
        steps!(@round $step, h, 4 11 16 23,
            (5 32)(8 33)(11 34)(14 35), (1 36)(4 37)(7 38)(10 39),
            (13 40)(0 41)(3 42)(6 43), (9 44)(12 45)(15 46)(2 47));
        steps!(@round $step, i, 6 10 15 21,
            (0 48)(7 49)(14 50)(5 51), (12 52)(3 53)(10 54)(1 55),
            (8 56)(15 57)(6 58)(13 59), (4 60)(11 61)(2 62)(9 63));
    };
    (@round $step:ident, $function:ident,
        $s0:literal $s1:literal $s2:literal $s3:literal,
        $($w0:tt $w1:tt $w2:tt $w3:tt),+) => {
        $(
            $step!($function, 0 1 2 3, $w0, $s0);
            $step!($function, 3 0 1 2, $w1, $s1);
            $step!($function, 2 3 0 1, $w2, $s2);
            $step!($function, 1 2 3 0, $w3, $s3);
        )+
    };
}

/// Defines `run`, which advances one or two groups of `LANES` messages by `blocks` blocks.
///
/// The module that calls it has `LANES`, `Vector` (of `LANES` words of 32 bits) and the functions
/// `splat`, `add`, `rotate_left`, `f`, `g`, `h`, `i`, `transpose`, `load` and `store`.
///
/// Two groups at a time are faster than one group twice: each step of MD5 needs the result of the step before, and the
/// second group fills the waiting time.
macro_rules! kernel {
    ($(#[$feature:meta])?) => {
        $(#[$feature])?
        pub(super) fn run(
            groups: &mut [Group<LANES>],
            inputs: &[[&[Block]; LANES]],
            blocks: usize,
        ) {
            match (groups.first_chunk_mut::<2>(), inputs.first_chunk::<2>()) {
                (Some(groups), Some(inputs)) => compress(groups, inputs, blocks),
                _ => {
                    if let (Some(groups), Some(inputs)) =
                        (groups.first_chunk_mut::<1>(), inputs.first_chunk::<1>())
                    {
                        compress(groups, inputs, blocks);
                    }
                }
            }
        }

        $(#[$feature])?
        fn compress<const G: usize>(
            groups: &mut [Group<LANES>; G],
            inputs: &[[&[Block]; LANES]; G],
            blocks: usize,
        ) {
            let mut state = [[splat(0); 4]; G];
            for (state, group) in state.iter_mut().zip(groups.iter()) {
                for (vector, words) in state.iter_mut().zip(group) {
                    *vector = load(words);
                }
            }
            // The compiler adds known numbers last, at the end of the chain of additions that the next step waits for.
            // `black_box` hides these from it.
            let sines = core::hint::black_box(&SINES);
            for block in 0..blocks {
                let mut words = [[splat(0); 16]; G];
                for (words, inputs) in words.iter_mut().zip(inputs) {
                    let rows: [&Block; LANES] = core::array::from_fn(|lane| &inputs[lane][block]);
                    for input in inputs {
                        prefetch(input, block + AHEAD);
                    }
                    for (quarter, words) in words.as_chunks_mut().0.iter_mut().enumerate() {
                        *words = transpose(&rows, quarter);
                    }
                }
                let before = state;
                macro_rules! step {
                    ($function:ident, $a:literal $b:literal $c:literal $d:literal,
                        ($word:literal $sine:literal), $shift:literal) => {
                        for (state, words) in state.iter_mut().zip(&words) {
                            let sum = add(add(state[$a], splat(sines[$sine])), words[$word]);
                            let sum = add(sum, $function(state[$b], state[$c], state[$d]));
                            let rotated = rotate_left::<$shift, { 32 - $shift }>(sum);
                            state[$a] = add(rotated, state[$b]);
                        }
                    };
                }
                steps!(step);
                for (state, before) in state.iter_mut().zip(&before) {
                    for (vector, before) in state.iter_mut().zip(before) {
                        *vector = add(*vector, *before);
                    }
                }
            }
            for (group, state) in groups.iter_mut().zip(&state) {
                for (words, vector) in group.iter_mut().zip(state) {
                    *words = store(*vector);
                }
            }
        }
    };
}
pub(super) use {kernel, steps};
