#[derive(KplRecord)]
struct Envelope<B> {
    #[kpl(partition_key)]
    id: u32,
    #[kpl(explicit_hash_key)]
    at: Option<u128>,
    #[kpl(tag = "trace")]
    trace: Option<String>,
    #[kpl(payload)]
    body: B,
}
