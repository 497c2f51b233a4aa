#[derive(KplRecord)]
#[kpl(codec = Json)]
enum Event<K, T> {
    Created {
        #[kpl(partition_key, elide)]
        key: K,
        body: Vec<T>,
    },
    #[serde(rename = "tick")]
    Tick(#[kpl(partition_key)] u8, #[serde(with = "other")] T),
}
