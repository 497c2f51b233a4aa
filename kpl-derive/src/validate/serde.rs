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
    if names("Json") {
        container
            .shapes
            .iter()
            .for_each(|shape| same_names(container, shape, errors));
    }
    let positional = ["Postcard", "Bincode"].into_iter().find(|codec| names(codec));
    if let Some(codec) = positional {
        without_names(container, codec, errors);
    }
    if container.attrs.check.is_some() {
        for field in container.shapes.iter().flat_map(|shape| &shape.fields) {
            written_or_read_only(container, field, positional, errors);
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

/// Reports a field that travels in one direction only, although what is written must be read.
fn written_or_read_only(container: &Container<'_>, field: &Field<'_>, positional: Option<&str>, errors: &mut Errors) {
    let attributes = &field.ast.attrs;
    let (written, read) = (
        !has(attributes, "skip_serializing"),
        !has(attributes, "skip_deserializing"),
    );
    if written == read || field.attrs.elide.is_some() {
        return;
    }
    let name = match written {
        true => "skip_deserializing",
        false => "skip_serializing",
    };
    let has_default = has(attributes, "default") || has(&container.input.attrs, "default") || is_option(&field.ast.ty);
    let message = match positional {
        Some(codec) => format!(
            "with `#[serde({name})]` the payload could not be read: `{codec}` does not write the names of fields; \
             write `#[serde(skip)]`"
        ),
        None if read && !has_default => {
            "the field is not written, and reading needs it: write `#[serde(skip)]`, or add `#[serde(default)]`".into()
        }
        None => return,
    };
    for meta in metas(attributes).iter().filter(|meta| meta.path().is_ident(name)) {
        errors.at(meta, &message);
    }
}

/// Returns whether tokens show an `Option`, which serde reads as `None` where there is nothing.
fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}
