//! Handles what Lambda gave up on, with the function that failed then: it reads the invocation record that an on-failure
//! destination in Amazon S3 received. `aws s3 cp s3://BUCKET/KEY - | cargo run -p kpl-lambda --example redrive`

use kpl_lambda::{Error, Event, Handler, OnFailure, Received};

#[derive(serde::Deserialize, serde::Serialize, kpl::KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Error> {
    redrive(&std::io::read_to_string(std::io::stdin())?).await
}

/// Fails if a user record fails: then keep the object.
pub(crate) async fn redrive(invocation_record: &str) -> Result<(), Error> {
    let event: Event = serde_json::from_str(invocation_record)?;
    let handler = Handler::per_record(|click: Received<Click>| async move { store(click).await });
    handler.on_failure(OnFailure::Continue).handle(&event).await?;
    Ok(())
}

async fn store(click: Received<Click>) -> Result<(), Error> {
    let position = click.position().ok_or("no sequence number")?;
    if click.value.url.is_empty() {
        return Err(format!("{position}: a click on nothing").into());
    }
    println!("{position} {} {}", click.value.user, click.value.url);
    Ok(())
}
