//! Attributes of serde with which a record cannot be read.

use std::collections::BTreeMap;

use quote::ToTokens as _;
use syn::{Fields, Meta, Type};

use crate::Derive;
use crate::errors::Errors;
use crate::parse::{Container, Field, Shape};
use crate::serde_attr::{Direction, has, metas, name_style, renamed, string};

/// The attributes with which serde writes and reads another type.
const ANOTHER_TYPE: [&str; 4] = ["from", "into", "remote", "try_from"];

/// Reports what cannot be read with the codec, as far as the codec's name shows which one it is.
pub(super) fn conflicts(container: &Container<'_>, errors: &mut Errors) {
    let attributes = &container.input.attrs;
    let Some(codec) = &container.attrs.codec else { return };
    if ANOTHER_TYPE.into_iter().any(|name| has(attributes, name)) {
        return;
    }
    let codec = codec.value.to_token_stream().to_string();
    // Also inside another: `Zstd<Json>`.
    let names = |name: &str| {
        codec
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == name)
    };
    let json = names("Json");
    if json {
        container
            .shapes
            .iter()
            .for_each(|shape| same_names(container, shape, errors));
    }
    let positional = ["Postcard", "Bincode"].into_iter().find(|codec| names(codec));
    if let Some(codec) = positional {
        without_names(container, codec, errors);
        moved_variants(container, codec, errors);
    }
    if container.attrs.check.is_some() {
        for shape in &container.shapes {
            for field in shape.fields.iter().filter(|field| field.attrs.elide.is_none()) {
                written_or_read_only(container, field, positional, errors);
                if json {
                    sometimes_written(container, shape, field, errors);
                }
            }
        }
    }
}

/// Reports fields that have the same name in the payload. serde itself reports those of enums that have the name of the tag.
fn same_names(container: &Container<'_>, shape: &Shape<'_>, errors: &mut Errors) {
    if !matches!(shape.style, Fields::Named(_)) {
        return;
    }
    let attributes = &container.input.attrs;
    let (direction, skipped) = match container.derive {
        Derive::KplRecord => (Direction::Serialize, "skip_serializing"),
        Derive::FromKplRecord => (Direction::Deserialize, "skip_deserializing"),
    };
    let style = match shape.variant {
        None => name_style(attributes, "rename_all", direction),
        Some(variant) => name_style(&variant.attrs, "rename_all", direction)
            .or_else(|| name_style(attributes, "rename_all_fields", direction)),
    };
    let mut taken = BTreeMap::new();
    if let (None, Some(tag)) = (shape.variant, string(attributes, "tag")) {
        taken.insert(tag.value(), "`#[serde(tag)]` of the type".to_owned());
    }
    for field in &shape.fields {
        let attributes = &field.ast.attrs;
        if field.attrs.elide.is_some()
            || ["skip", skipped, "flatten"]
                .into_iter()
                .any(|name| has(attributes, name))
        {
            continue;
        }
        let name = renamed(attributes, direction).map_or_else(
            || style.map_or_else(|| field.name(), |style| style.of_field(&field.name())),
            |name| name.value(),
        );
        let message = taken.get(&name).map(|other| {
            format!("the payload would have {name:?} twice: {other} has this name as well; rename the field with `#[serde(rename = \"...\")]`")
        });
        match (message, &field.ast.ident) {
            (Some(message), Some(ident)) => errors.at(ident, message),
            _ => drop(taken.insert(name, format!("the field `{}`", field.name()))),
        }
    }
}

/// Reports what needs the names of fields or variants in the payload.
fn without_names(container: &Container<'_>, codec: &str, errors: &mut Errors) {
    let attributes = &container.input.attrs;
    let mut report = |meta: &Meta| {
        let name = meta.path().to_token_stream();
        errors.at(
            meta,
            format_args!(
                "with `#[serde({name})]` the payload could not be read: `{codec}` does not write the names of fields; \
                 leave the attribute out, or use `kpl::codec::Json`"
            ),
        );
    };
    let mut each = |attributes: &[syn::Attribute], names: &[&str]| {
        for meta in metas(attributes) {
            if names.iter().any(|name| meta.path().is_ident(name)) {
                report(&meta);
            }
        }
    };
    match has(attributes, "content") {
        true => each(attributes, &["untagged"]),
        false => each(attributes, &["tag", "untagged"]),
    }
    let of_fields: &[&str] = match container.derive {
        Derive::KplRecord => &["flatten", "skip_serializing_if"],
        Derive::FromKplRecord => &["flatten"],
    };
    for shape in &container.shapes {
        if let Some(variant) = shape.variant {
            each(&variant.attrs, &["untagged"]);
        }
        for field in shape.fields.iter().filter(|field| field.attrs.elide.is_none()) {
            each(&field.ast.attrs, of_fields);
        }
    }
}

/// Reports variants that are not read before one that is: serde writes a variant's index among all variants and reads it
/// among those that it reads. A type that is only read may leave out what its writer does not have.
fn moved_variants(container: &Container<'_>, codec: &str, errors: &mut Errors) {
    if container.derive == Derive::FromKplRecord {
        return;
    }
    let not_read = |meta: &Meta| meta.path().is_ident("skip") || meta.path().is_ident("skip_deserializing");
    let variants = container.shapes.iter().filter_map(|shape| shape.variant);
    let variants: Vec<_> = variants.map(|variant| metas(&variant.attrs)).collect();
    let last_read = variants.iter().rposition(|metas| !metas.iter().any(not_read));
    let before = variants.iter().take(last_read.unwrap_or_default());
    for meta in before.flatten().filter(|meta| not_read(meta)) {
        let name = meta.path().to_token_stream();
        errors.at(
            meta,
            format_args!(
                "with `#[serde({name})]` the variants after this one would be read as others: `{codec}` does not write the \
                 names of variants, and serde writes their indexes among all variants and reads them among those that \
                 are not skipped; move this variant to the end"
            ),
        );
    }
}

/// Reports a field that travels in one direction only, although what is written must be read.
fn written_or_read_only(container: &Container<'_>, field: &Field<'_>, positional: Option<&str>, errors: &mut Errors) {
    let attributes = &field.ast.attrs;
    let (written, read) = (
        !has(attributes, "skip_serializing"),
        !has(attributes, "skip_deserializing"),
    );
    if written == read {
        return;
    }
    let name = match written {
        true => "skip_deserializing",
        false => "skip_serializing",
    };
    let message = match positional {
        Some(codec) => format!(
            "with `#[serde({name})]` the payload could not be read: `{codec}` does not write the names of fields; \
             write `#[serde(skip)]`"
        ),
        None if read && !may_be_missing(container, field) => {
            "the field is not written, and reading needs it: write `#[serde(skip)]`, or add `#[serde(default)]`".into()
        }
        None => return,
    };
    for meta in metas(attributes).iter().filter(|meta| meta.path().is_ident(name)) {
        errors.at(meta, &message);
    }
}

/// Reports a field that is left out for some values, although reading needs it. serde always writes the field of a
/// newtype, and reads a flattened field from what is there.
fn sometimes_written(container: &Container<'_>, shape: &Shape<'_>, field: &Field<'_>, errors: &mut Errors) {
    let attributes = &field.ast.attrs;
    let is_newtype = matches!(shape.style, Fields::Unnamed(_)) && shape.fields.len() == 1;
    let travels_otherwise = ["flatten", "skip", "skip_deserializing", "skip_serializing"]
        .into_iter()
        .any(|name| has(attributes, name));
    if is_newtype || travels_otherwise || may_be_missing(container, field) {
        return;
    }
    for meta in metas(attributes) {
        if meta.path().is_ident("skip_serializing_if") {
            errors.at(
                meta,
                "the field is not written for some values, and reading needs it: add `#[serde(default)]`",
            );
        }
    }
}

/// Returns whether serde can read the type without this field: it has a default, or is an `Option` with a name that serde
/// reads by itself, as far as tokens show one.
fn may_be_missing(container: &Container<'_>, field: &Field<'_>) -> bool {
    let attributes = &field.ast.attrs;
    let is_option = || {
        let Type::Path(path) = &field.ast.ty else { return false };
        path.path.segments.last().is_some_and(|last| last.ident == "Option")
    };
    let by_itself = || !has(attributes, "with") && !has(attributes, "deserialize_with");
    has(attributes, "default")
        || has(&container.input.attrs, "default")
        || (field.ast.ident.is_some() && by_itself() && is_option())
}
