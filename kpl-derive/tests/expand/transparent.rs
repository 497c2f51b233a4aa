#[derive(KplRecord)]
#[kpl(transparent)]
struct Newtype<T>(T);
