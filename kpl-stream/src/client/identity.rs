//! Which stream it is that has a name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kpl_core::Timestamp;

/// Tells a stream from every other one that has, or had, its name: in another account or region, or deleted before this
/// one was created.
///
/// As a string it is the ARN and, if it is known, the time of creation in seconds since 1970, with a space between
/// them.
///
/// ```
/// use kpl_stream::client::StreamIdentity;
///
/// let clicks: StreamIdentity = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks 1700000000.25".parse()?;
/// assert_eq!(&*clicks.arn, "arn:aws:kinesis:us-east-1:123456789012:stream/clicks");
/// assert!(clicks.created_at.is_some());
/// # Ok::<(), kpl_stream::client::InvalidStreamIdentity>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StreamIdentity {
    /// The stream's ARN.
    pub arn: Arc<str>,
    /// When the stream was created, if the service says so.
    pub created_at: Option<Timestamp>,
}

impl StreamIdentity {
    /// Creates the identity of a stream with this ARN. An ARN must not contain white space.
    pub fn new(arn: impl Into<Arc<str>>) -> Self {
        Self {
            arn: arn.into(),
            created_at: None,
        }
    }

    /// Returns the same identity, with the time at which the stream was created.
    #[must_use]
    pub fn with_created_at(mut self, created_at: Timestamp) -> Self {
        self.created_at = Some(created_at);
        self
    }

    /// Returns whether the two cannot be the same stream. Times that are not known do not count.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        let created = self.created_at.zip(other.created_at);
        self.arn != other.arn || created.is_some_and(|(one, other)| one != other)
    }
}

impl fmt::Display for StreamIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)?;
        match self.created_at {
            Some(created_at) => write!(f, " {created_at}"),
            None => Ok(()),
        }
    }
}

impl FromStr for StreamIdentity {
    type Err = InvalidStreamIdentity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidStreamIdentity { text: text.to_owned() };
        let (arn, created_at) = match text.split_once(' ') {
            Some((arn, created_at)) => (arn, Some(created_at.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        if arn.is_empty() || arn.contains(char::is_whitespace) {
            return Err(invalid());
        }
        Ok(Self {
            arn: arn.into(),
            created_at,
        })
    }
}

/// A string that is not a valid identity of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidStreamIdentity {
    /// The string as it was given.
    pub text: String,
}

impl fmt::Display for InvalidStreamIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a stream's identity is ARN or ARN SECONDS, not {:?}", self.text)
    }
}

impl std::error::Error for InvalidStreamIdentity {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_epoch(Duration::from_secs(seconds))
    }

    proptest! {
        #[test]
        fn an_identity_survives_as_text(arn in "[!-~]{1,60}", created in proptest::option::of(any::<u64>())) {
            let mut identity = StreamIdentity::new(arn);
            identity.created_at = created.map(at);
            prop_assert_eq!(identity.to_string().parse(), Ok(identity.clone()));
        }

        #[test]
        fn any_text_is_an_identity_or_an_error_that_has_it(text in "[a:]{0,2}[ \t]{0,2}[0-9.x]{0,3}") {
            match text.parse::<StreamIdentity>() {
                Ok(identity) => prop_assert!(!identity.arn.is_empty()),
                Err(error) => prop_assert_eq!(error.text, text),
            }
        }
    }

    #[test]
    fn streams_differ_by_arn_or_by_time_if_both_are_known() {
        let one = StreamIdentity::new("a");
        let created = one.clone().with_created_at(at(1));
        assert!(one.differs_from(&StreamIdentity::new("b")));
        assert!(!one.differs_from(&created) && !created.differs_from(&one));
        assert!(created.differs_from(&one.with_created_at(at(2))));
    }
}
