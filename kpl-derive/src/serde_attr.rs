//! The attributes `#[serde(...)]` that matter to `elide`.

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
    let literal = metas(attributes).into_iter().find_map(|meta| match meta {
        Meta::NameValue(meta) if meta.path.is_ident("bound") => literal(&meta.value),
        Meta::List(list) if list.path.is_ident("bound") => {
            let inner = list
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .ok()?;
            inner.into_iter().find_map(|meta| match meta {
                Meta::NameValue(meta) if meta.path.is_ident("serialize") => literal(&meta.value),
                _ => None,
            })
        }
        _ => None,
    })?;
    let predicates = literal
        .parse_with(Punctuated::<WherePredicate, Token![,]>::parse_terminated)
        .ok()?;
    Some(predicates.into_iter().collect())
}

fn literal(value: &Expr) -> Option<LitStr> {
    syn::parse2(value.to_token_stream()).ok()
}

/// Returns the items of all of serde's attributes. Mistakes are left to serde, which reports them better.
fn metas(attributes: &[Attribute]) -> Vec<Meta> {
    of_serde(attributes)
        .filter_map(|attribute| {
            attribute
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .ok()
        })
        .flatten()
        .collect()
}
