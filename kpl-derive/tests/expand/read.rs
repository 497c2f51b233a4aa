#[derive(FromKplRecord)]
#[kpl(codec = Json, partition_key_with = key)]
struct Event<'a, T> {
    user: &'a str,
    body: T,
}
