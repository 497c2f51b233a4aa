//! A function in a few lines: it prints each click. `cargo lambda watch` and `cargo lambda invoke handler` run it.

use kpl_lambda::{Error, Received};

#[derive(serde::Deserialize, serde::Serialize, kpl::KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Error> {
    kpl_lambda::run(|click: Received<Click>| async move { store(click).await }).await
}

async fn store(click: Received<Click>) -> Result<(), Error> {
    let position = click.position().ok_or("no sequence number")?;
    if click.value.url.is_empty() {
        return Err(format!("{position}: a click on nothing").into());
    }
    println!("{position} {} {}", click.value.user, click.value.url);
    Ok(())
}
