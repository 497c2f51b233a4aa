//! The names of the attributes, and the message about an unknown one.

use std::fmt::{self, Display};

pub(crate) const ATTRIBUTE: &str = "kpl";

pub(crate) const BOUND: &str = "bound";
pub(crate) const CHECK: &str = "check";
pub(crate) const CODEC: &str = "codec";
pub(crate) const CRATE: &str = "crate";
pub(crate) const ELIDE: &str = "elide";
pub(crate) const EXPLICIT_HASH_KEY: &str = "explicit_hash_key";
pub(crate) const EXPLICIT_HASH_KEY_WITH: &str = "explicit_hash_key_with";
pub(crate) const PARTITION_KEY: &str = "partition_key";
pub(crate) const PARTITION_KEY_WITH: &str = "partition_key_with";
pub(crate) const PAYLOAD: &str = "payload";
pub(crate) const TAG: &str = "tag";
pub(crate) const TRANSPARENT: &str = "transparent";

/// The choice if a codec is missing.
pub(crate) const CODECS: &str = "kpl::codec::Json, kpl::codec::Postcard, kpl::codec::Bincode, kpl::codec::Prost, kpl::codec::Raw, \
     or a codec of your own";

/// What an attribute stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Container,
    Variant,
    Field,
}

impl Target {
    const ALL: [Self; 3] = [Self::Container, Self::Variant, Self::Field];

    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Container => &[
                CODEC,
                PARTITION_KEY,
                PARTITION_KEY_WITH,
                EXPLICIT_HASH_KEY_WITH,
                TRANSPARENT,
                CHECK,
                BOUND,
                CRATE,
            ],
            Self::Variant => &[PARTITION_KEY, TRANSPARENT],
            Self::Field => &[PARTITION_KEY, ELIDE, EXPLICIT_HASH_KEY, PAYLOAD, TAG],
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "type",
            Self::Variant => "variant",
            Self::Field => "field",
        })
    }
}

/// A name that the target does not accept.
pub(crate) struct Unknown {
    name: String,
    target: Target,
    /// The accepted name that the user probably meant.
    pub(crate) meant: Option<&'static str>,
}

impl Unknown {
    pub(crate) fn new(name: &str, target: Target) -> Self {
        let nearest = target.names().iter().map(|known| (distance(name, known), *known)).min();
        Self {
            name: name.into(),
            target,
            meant: nearest
                .filter(|(distance, known)| *distance <= known.len() / 3)
                .map(|(_, known)| known),
        }
    }
}

impl Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, target, .. } = self;
        if let Some(other) = Target::ALL
            .into_iter()
            .find(|other| other.names().contains(&name.as_str()))
        {
            return write!(
                f,
                "`{name}` belongs on a {other}, not on a {target}; a {target} accepts {}",
                list(target.names())
            );
        }
        write!(f, "unknown attribute `{name}`")?;
        match self.meant {
            Some(meant) => write!(f, ", did you mean `{meant}`?"),
            None => write!(f, "; a {target} accepts {}", list(target.names())),
        }
    }
}

/// Returns "`a`, `b` and `c`".
pub(crate) fn list<T: Display>(names: &[T]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        text += match index {
            0 => "",
            _ if index + 1 == names.len() => " and ",
            _ => ", ",
        };
        text += &format!("`{name}`");
    }
    text
}

/// Returns how many characters must be added, removed or replaced to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (index, left) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut last = index + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            last = replaced.min(diagonal + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Target, Unknown, distance, list};

    #[test]
    fn distances() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("codec", "codec"), 0);
    }

    #[test]
    fn suggestions() {
        let meant = |name, target| Unknown::new(name, target).meant;
        assert_eq!(meant("codc", Target::Container), Some("codec"));
        assert_eq!(meant("partition_kye", Target::Field), Some("partition_key"));
        assert_eq!(meant("tga", Target::Field), None);
        assert_eq!(meant("rename", Target::Container), None);
    }

    #[test]
    fn lists() {
        assert_eq!(list::<&str>(&[]), "");
        assert_eq!(list(&["a"]), "`a`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
