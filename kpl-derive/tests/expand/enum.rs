#[derive(KplRecord)]
#[kpl(codec = Json)]
enum Event {
    Created {
        #[kpl(partition_key)]
        user: String,
        #[kpl(explicit_hash_key)]
        at: u128,
    },
    #[kpl(partition_key = "{0}-{1}")]
    Moved(u8, #[kpl(tag = "to")] u8),
    #[kpl(partition_key = "tick")]
    Tick,
}
