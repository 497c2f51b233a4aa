//! The error of options that were set to values that they cannot have.

use std::fmt;

/// An option that was set to a value that it cannot have.
///
/// ```
/// use kpl_stream::InvalidOption;
///
/// let error = InvalidOption::new("max_connections", 0, "from 1 to 10000");
/// assert_eq!(error.to_string(), "max_connections is 0, but must be from 1 to 10000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidOption {
    /// The option's name.
    pub option: &'static str,
    /// The value that it was set to.
    pub value: String,
    /// What the value must be.
    pub expected: String,
}

impl InvalidOption {
    /// Creates the error from the option's name, its value, and what the value must be.
    pub fn new(option: &'static str, value: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self {
            option,
            value: value.to_string(),
            expected: expected.to_string(),
        }
    }
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, but must be {}", self.option, self.value, self.expected)
    }
}

impl std::error::Error for InvalidOption {}

impl From<kpl_core::InvalidOption> for InvalidOption {
    fn from(error: kpl_core::InvalidOption) -> Self {
        Self::new(
            error.option,
            error.value,
            format_args!("from {} to {}", error.min, error.max),
        )
    }
}
