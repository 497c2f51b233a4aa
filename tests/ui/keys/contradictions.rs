use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct TwoFields {
    #[kpl(partition_key)]
    tenant: String,
    #[kpl(partition_key)]
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user}")]
struct FieldAndTemplate {
    #[kpl(partition_key)]
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user}", partition_key_with = "key")]
struct TemplateAndFunction {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key_with = "key")]
enum FieldAndFunction {
    A(#[kpl(partition_key)] u8),
    #[kpl(partition_key = "{0}")]
    B(u8),
    #[kpl(partition_key = "{0}")]
    C(#[kpl(partition_key)] u8),
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{a}", explicit_hash_key_with = "hash")]
struct TwoHashKeys {
    #[kpl(explicit_hash_key)]
    a: u128,
    #[kpl(explicit_hash_key)]
    b: u128,
}

fn main() {}
