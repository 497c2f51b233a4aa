#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, check = r#type::samples)]
struct r#type {
    #[kpl(partition_key)]
    key: u64,
}
