#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
#[serde(rename_all = "camelCase")]
struct Click<'a> {
    #[kpl(partition_key, elide)]
    user: &'a str,
    #[serde(default)]
    at_ms: u64,
}
