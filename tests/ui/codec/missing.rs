use kpl::KplRecord;

#[derive(KplRecord)]
struct Click {
    #[kpl(partition_key)]
    user: String,
}

fn main() {}
