use super::bytes;
use super::input::Input;
use kpl::digest::{Digest, Lanes, md5, md5_each, md5_many, md5_many_with};

/// Messages of any number and lengths, in lanes of every width that the machine has: as the crate md-5.
pub fn digest(data: &[u8]) {
    let mut input = Input::new(data);
    let mut messages: Vec<Message> = Vec::new();
    while !input.is_empty() && messages.len() < 100 {
        for _ in 0..=input.below(20) {
            messages.push(Message::new(&mut input));
        }
    }
    let messages: Vec<&[u8]> = messages.iter().map(Message::bytes).collect();
    let expected: Vec<Digest> = messages.iter().copied().map(bytes::md5).collect();

    for lanes in Lanes::available() {
        let mut digests = vec![[0xEE; 16]; messages.len()];
        md5_many_with(lanes, &messages, &mut digests);
        assert_eq!(digests, expected, "{lanes}");
    }
    let mut digests = vec![[0xEE; 16]; messages.len()];
    md5_many(&messages, &mut digests);
    assert_eq!(digests, expected);

    let mut digests = vec![None; messages.len()];
    md5_each(messages.iter().copied(), |index, digest| {
        assert_eq!(digests[index].replace(digest), None, "each message once");
    });
    assert!(digests.iter().flatten().eq(&expected));

    for (message, expected) in messages.iter().zip(&expected) {
        assert_eq!(md5(message), *expected);
    }
}

/// A message that ends where its memory ends, so that the address sanitizer notices reads beyond it.
struct Message {
    memory: Box<[u8]>,
    start: usize,
}

impl Message {
    fn new(input: &mut Input<'_>) -> Self {
        let start = input.below(17);
        let message = match input.byte() {
            0..=0x7F => input.bytes().to_vec(),
            0x80..=0xBF => {
                let (len, byte) = (input.below(1000), input.byte());
                (0..len)
                    .map(|at| byte.wrapping_add((at * 131 + at / 251) as u8))
                    .collect()
            }
            _ => {
                let block = input.choose(&[0, 1, 2, 3, 31]);
                vec![input.byte(); 64 * block + input.below(64)]
            }
        };
        let memory = [&vec![0xAA; start][..], &message].concat();
        Self {
            memory: memory.into_boxed_slice(),
            start,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}
