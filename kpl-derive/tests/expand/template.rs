#[derive(KplRecord)]
#[kpl(
    codec = kpl::codec::Json,
    partition_key = "{{{tenant}}}/{r#type:?}/{tenant}",
    explicit_hash_key_with = "placement",
    crate = "crate::streams"
)]
struct Event {
    tenant: String,
    r#type: Kind,
}
