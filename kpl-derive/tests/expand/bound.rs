#[derive(KplRecord)]
#[kpl(codec = Json, bound = "T: Serialize + DeserializeOwned")]
struct Event<T> {
    #[kpl(partition_key)]
    key: u8,
    body: T,
}
