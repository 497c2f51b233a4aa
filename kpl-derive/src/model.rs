//! What the derive knows about a type without mistakes.

use syn::punctuated::Punctuated;
use syn::{DeriveInput, ExprPath, Fields, Ident, LitStr, Member, Path, Token, Type, Variant, WherePredicate};

use crate::Derive;
use crate::parse::Field;

pub(crate) struct Record<'a> {
    pub(crate) derive: Derive,
    pub(crate) input: &'a DeriveInput,
    /// The path of the crate kpl, or of its re-export.
    pub(crate) root: Path,
    /// Replaces the where clauses that the derive would generate.
    pub(crate) bound: Option<&'a Punctuated<WherePredicate, Token![,]>>,
    pub(crate) content: Content<'a>,
    pub(crate) check: Option<Check<'a>>,
}

/// The test that the derive generates.
pub(crate) struct Check<'a> {
    /// The attribute, where the compiler reports what the test lacks.
    pub(crate) name: &'a Ident,
    /// The function that returns the values. Otherwise they are arbitrary.
    pub(crate) values: Option<&'a ExprPath>,
}

pub(crate) enum Content<'a> {
    /// Everything is left to the only field.
    Transparent(&'a Field<'a>),
    /// The attributes of the type name its keys and its payload.
    Own(Own<'a>),
}

pub(crate) struct Own<'a> {
    pub(crate) payload: Payload<'a>,
    pub(crate) explicit_hash_key_with: Option<&'a ExprPath>,
    pub(crate) shapes: Vec<Shape<'a>>,
}

#[derive(Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// The whole value, by a codec.
    Codec(&'a Type),
    /// The value without its elided fields, by a codec.
    Elided(&'a Type),
    /// The bytes of one field.
    Field(&'a Field<'a>),
}

/// A struct, or a variant of an enum.
pub(crate) struct Shape<'a> {
    pub(crate) variant: Option<&'a Variant>,
    pub(crate) style: &'a Fields,
    pub(crate) fields: &'a [Field<'a>],
    pub(crate) key: Key<'a>,
    pub(crate) explicit_hash_key: Option<&'a Field<'a>>,
    pub(crate) tags: Vec<Tag<'a>>,
}

pub(crate) enum Key<'a> {
    /// Of a type that is only read.
    None,
    Field(&'a Field<'a>),
    Template(&'a LitStr, Vec<KeyPiece<'a>>),
    Function(&'a ExprPath),
    /// Keys and tags are those of the only field, which is a record itself.
    Inner(&'a Field<'a>),
}

pub(crate) enum KeyPiece<'a> {
    Text(String),
    Field(FieldPiece<'a>),
}

/// A field in a template: `{order.id:08x}`.
pub(crate) struct FieldPiece<'a> {
    pub(crate) field: &'a Field<'a>,
    /// The way from there to a field inside of it.
    pub(crate) path: Vec<Member>,
    /// The format specification after the colon.
    pub(crate) spec: String,
}

pub(crate) struct Tag<'a> {
    pub(crate) name: &'a LitStr,
    pub(crate) field: &'a Field<'a>,
}
