#[kpl(transparent)]
struct Newtype<T>(T);
