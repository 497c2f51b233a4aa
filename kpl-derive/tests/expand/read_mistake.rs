#[derive(FromKplRecord)]
struct Event {
    user: String,
}
