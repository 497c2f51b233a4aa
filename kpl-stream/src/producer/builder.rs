//! Builds a producer from its client and its options.

use std::sync::Arc;
use std::time::Duration;

use kpl_core::InvalidOption;

use super::Producer;
use super::options::{Options, for_each_option};
use super::spool::Spool;
use crate::client::WriteClient;

/// Sets the client and the options of a [`Producer`]. The options are named after the KPL's.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kpl_stream::InvalidOption> {
/// use std::time::Duration;
/// use kpl_stream::Producer;
///
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
/// let producer = Producer::builder()
///     .load_aws_config(&config)
///     .record_max_buffered_time(Duration::from_millis(250))
///     .ordered(true)
///     .build()?;
/// # drop(producer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProducerBuilder<C = Arc<dyn WriteClient>> {
    client: C,
    options: Options,
    spool: Option<Spool>,
}

impl Producer {
    /// Returns a builder with the default options. It can build a producer once it has a client.
    pub fn builder() -> ProducerBuilder<()> {
        ProducerBuilder {
            client: (),
            options: Options::default(),
            spool: None,
        }
    }
}

impl<C> ProducerBuilder<C> {
    /// Sets the client: the AWS SDK, with the region, the credentials and the endpoint of `config`.
    #[cfg(feature = "aws")]
    #[cfg_attr(docsrs, doc(cfg(feature = "aws")))]
    pub fn load_aws_config(self, config: &aws_types::SdkConfig) -> ProducerBuilder {
        self.client(crate::aws::AwsClient::new(config))
    }

    /// Sets a client of your own, or an `Arc` of one.
    pub fn client(self, client: impl WriteClient) -> ProducerBuilder {
        ProducerBuilder {
            client: Arc::new(client),
            options: self.options,
            spool: self.spool,
        }
    }

    /// Keeps what is accepted in a [spool](crate::spool) on the disk until it has an outcome.
    ///
    /// This makes `record_ttl` unlimited. For a limit, call [`record_ttl`](Self::record_ttl) after it.
    pub fn spool(mut self, spool: Spool) -> Self {
        self.options.record_ttl = Duration::MAX;
        self.spool = Some(spool);
        self
    }

    /// Sets all options at once.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $option:ident: $type:ty = $default:expr,)*) => {
        impl<C> ProducerBuilder<C> {
            $($(#[$doc])*
            pub const fn $option(mut self, $option: $type) -> Self {
                self.options.$option = $option;
                self
            })*
        }
    };
}
for_each_option!(setters);

impl ProducerBuilder {
    /// Builds the producer. It starts to run when its first stream is opened.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if an option is out of its range, or if the spool has been used before.
    pub fn build(self) -> Result<Producer, InvalidOption> {
        Producer::new(self.options, self.client, self.spool)
    }
}
