#[derive(KplRecord)]
#[kpl(codec = Json)]
struct Event<'a, T: Clone> {
    key: &'a str,
    body: T,
}
