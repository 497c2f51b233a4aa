#[derive(FromKplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
enum Event {
    Created {
        #[kpl(partition_key, elide)]
        user: String,
        at_ms: u64,
    },
    Tick,
}
