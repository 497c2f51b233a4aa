pub fn typed(_: &[u8]) {}
