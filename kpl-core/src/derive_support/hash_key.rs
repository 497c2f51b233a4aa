use crate::{HashKey, ReadError};

/// A field, or the result of a function, that can be an explicit hash key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an explicit hash key",
    label = "an explicit hash key is a `u128`, a `HashKey`, or an `Option` of one of them"
)]
pub trait HashKeyField: Sized {
    fn explicit_hash_key(&self) -> Option<HashKey>;
    fn restore(field: &'static str, key: Option<HashKey>) -> Result<Self, ReadError>;
}

impl HashKeyField for HashKey {
    #[inline]
    fn explicit_hash_key(&self) -> Option<HashKey> {
        Some(*self)
    }

    #[inline]
    fn restore(field: &'static str, key: Option<HashKey>) -> Result<Self, ReadError> {
        key.ok_or_else(|| ReadError::field(field, None, "the record has no explicit hash key"))
    }
}

impl HashKeyField for u128 {
    #[inline]
    fn explicit_hash_key(&self) -> Option<HashKey> {
        Some(HashKey::new(*self))
    }

    #[inline]
    fn restore(field: &'static str, key: Option<HashKey>) -> Result<Self, ReadError> {
        <HashKey as HashKeyField>::restore(field, key).map(HashKey::value)
    }
}

impl<T: HashKeyField> HashKeyField for Option<T> {
    #[inline]
    fn explicit_hash_key(&self) -> Option<HashKey> {
        self.as_ref()?.explicit_hash_key()
    }

    #[inline]
    fn restore(field: &'static str, key: Option<HashKey>) -> Result<Self, ReadError> {
        key.map(|key| T::restore(field, Some(key))).transpose()
    }
}

/// Returns the explicit hash key in a field, or in the result of a function.
#[inline]
pub fn hash_key<T: HashKeyField>(key: &T) -> Option<HashKey> {
    key.explicit_hash_key()
}

/// Restores the named field from the record's explicit hash key.
#[inline]
pub fn restore_hash_key<T: HashKeyField>(field: &'static str, key: Option<HashKey>) -> Result<T, ReadError> {
    T::restore(field, key)
}
