//! The attributes `#[serde(...)]` that matter to `elide`, and to whether a record can be read.

use quote::ToTokens as _;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitStr, Meta, Token, WherePredicate};

use crate::errors::Errors;

/// What serde would have to do with the whole type, of which it sees only a part.
const CONTRADICTING: [&str; 7] = ["default", "from", "into", "remote", "transparent", "try_from", UNTAGGED];

/// The fields identify the variant: without one of them it could be another.
const UNTAGGED: &str = "untagged";

/// The attributes with which a field or variant is not serialized by its type's own impl.
const NOT_SERIALIZED: [&str; 4] = ["serialize_with", "skip", "skip_serializing", "with"];

/// Reports the attributes of a type with which a field cannot be left out.
pub(crate) fn check_container(attributes: &[Attribute], errors: &mut Errors) {
    check(attributes, &CONTRADICTING, "type", errors);
}

/// Reports the attributes of a variant with which no variant's field can be left out.
pub(crate) fn check_variant(attributes: &[Attribute], errors: &mut Errors) {
    check(attributes, &[UNTAGGED], "type that has a variant", errors);
}

fn check(attributes: &[Attribute], contradicting: &[&str], place: &str, errors: &mut Errors) {
    for meta in metas(attributes) {
        let Some(name) = contradicting.iter().find(|name| meta.path().is_ident(name)) else {
            continue;
        };
        errors.at(
            &meta,
            format_args!("`elide` cannot leave a field out of a {place} with `#[serde({name})]`"),
        );
    }
}

/// Returns serde's attributes, which the helper types copy.
pub(crate) fn of_serde(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde"))
}

pub(crate) fn has(attributes: &[Attribute], name: &str) -> bool {
    metas(attributes).iter().any(|meta| meta.path().is_ident(name))
}

pub(crate) fn is_serialized(attributes: &[Attribute]) -> bool {
    !metas(attributes)
        .iter()
        .any(|meta| NOT_SERIALIZED.into_iter().any(|name| meta.path().is_ident(name)))
}

/// Returns the bounds for serializing in `bound = "..."` or `bound(serialize = "...")`.
pub(crate) fn serialize_bound(attributes: &[Attribute]) -> Option<Vec<WherePredicate>> {
    let predicates = directed(attributes, "bound", Direction::Serialize)?
        .parse_with(Punctuated::<WherePredicate, Token![,]>::parse_terminated)
        .ok()?;
    Some(predicates.into_iter().collect())
}

/// What an attribute is for, if it is different for the two.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Serialize,
    Deserialize,
}

/// Returns the string in `rename = "..."`, or the one for this direction in `rename(serialize = "...")`.
pub(crate) fn renamed(attributes: &[Attribute], direction: Direction) -> Option<LitStr> {
    directed(attributes, "rename", direction)
}

/// Returns the string in `name = "..."`.
pub(crate) fn string(attributes: &[Attribute], name: &str) -> Option<LitStr> {
    metas(attributes).into_iter().find_map(|meta| match meta {
        Meta::NameValue(meta) if meta.path.is_ident(name) => literal(&meta.value),
        _ => None,
    })
}

fn directed(attributes: &[Attribute], name: &str, direction: Direction) -> Option<LitStr> {
    let direction = match direction {
        Direction::Serialize => "serialize",
        Direction::Deserialize => "deserialize",
    };
    metas(attributes).into_iter().find_map(|meta| match meta {
        Meta::NameValue(meta) if meta.path.is_ident(name) => literal(&meta.value),
        Meta::List(list) if list.path.is_ident(name) => {
            let inner = list
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .ok()?;
            inner.into_iter().find_map(|meta| match meta {
                Meta::NameValue(meta) if meta.path.is_ident(direction) => literal(&meta.value),
                _ => None,
            })
        }
        _ => None,
    })
}

/// How `rename_all` writes the names of fields.
#[derive(Clone, Copy)]
pub(crate) enum NameStyle {
    /// `event_type` becomes `eventType`, or `EventType` with the first as well.
    Capitals { first: bool },
    /// The words are separated by this character, and in capitals or not.
    Separated { by: char, upper: bool },
}

/// Returns the style in `rename_all = "..."`, or in another attribute of this kind. Mistakes are left to serde.
pub(crate) fn name_style(attributes: &[Attribute], name: &str, direction: Direction) -> Option<NameStyle> {
    let separated = |by, upper| NameStyle::Separated { by, upper };
    match directed(attributes, name, direction)?.value().as_str() {
        "camelCase" => Some(NameStyle::Capitals { first: false }),
        "PascalCase" => Some(NameStyle::Capitals { first: true }),
        "UPPERCASE" | "SCREAMING_SNAKE_CASE" => Some(separated('_', true)),
        "kebab-case" => Some(separated('-', false)),
        "SCREAMING-KEBAB-CASE" => Some(separated('-', true)),
        _ => None,
    }
}

impl NameStyle {
    /// Returns the name of a field in the payload, as serde makes it.
    pub(crate) fn of_field(self, field: &str) -> String {
        match self {
            Self::Separated { by, upper } => {
                let name = field.replace('_', &by.to_string());
                if upper { name.to_ascii_uppercase() } else { name }
            }
            Self::Capitals { first } => {
                let mut capital = first;
                let mut name = String::new();
                for character in field.chars() {
                    match character {
                        '_' => capital = true,
                        _ if std::mem::take(&mut capital) => name.push(character.to_ascii_uppercase()),
                        _ => name.push(character),
                    }
                }
                if !first {
                    name.get_mut(..1).map(str::make_ascii_lowercase);
                }
                name
            }
        }
    }
}

fn literal(value: &Expr) -> Option<LitStr> {
    syn::parse2(value.to_token_stream()).ok()
}

/// Returns the items of all of serde's attributes. Mistakes are left to serde, which reports them better.
pub(crate) fn metas(attributes: &[Attribute]) -> Vec<Meta> {
    of_serde(attributes)
        .filter_map(|attribute| {
            attribute
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .ok()
        })
        .flatten()
        .collect()
}
