#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum Event<K, T, U> {
    Tuple {
        #[kpl(partition_key, elide)]
        key: K,
        pair: (T, u8),
        list: [U; 2],
    },
    #[serde(bound = "T: Clone")]
    Bound {
        #[kpl(partition_key, elide)]
        key: K,
        bound: T,
    },
    #[serde(rename(serialize = "bound"), bound(serialize = "U: Copy"))]
    Renamed {
        #[kpl(partition_key, elide)]
        key: K,
        renamed: U,
    },
    #[serde(skip_serializing)]
    Skipped {
        #[kpl(partition_key, elide)]
        key: K,
        skipped: U,
    },
}
