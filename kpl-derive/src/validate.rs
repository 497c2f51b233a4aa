//! From attributes to their meaning. Finds every mistake that tokens alone can show.

mod key;
mod payload;
mod serde;

use std::collections::BTreeMap;

use syn::{Ident, Path, parse_quote};

use crate::Derive;
use crate::attr::ContainerAttrs;
use crate::errors::Errors;
use crate::model::{Check, Content, Own, Record, Shape, Tag};
use crate::parse::{self, Container, Field};

/// Returns the path of the crate, even if the rest has mistakes.
pub(crate) fn root(attrs: &ContainerAttrs) -> Path {
    attrs
        .krate
        .as_ref()
        .map_or_else(|| parse_quote!(::kpl), |attr| attr.value.clone())
}

/// Returns the record, or `None` if at least one error was reported.
pub(crate) fn validate<'a>(container: &'a Container<'a>, errors: &mut Errors) -> Option<Record<'a>> {
    let attrs = &container.attrs;
    if let Some(check) = &attrs.check {
        checkable(container, &check.name, errors);
    }
    let content = match &attrs.transparent {
        Some(transparent) => Content::Transparent(transparent_field(container, transparent, errors)?),
        None => Content::Own(own(container, errors)?),
    };
    let check = attrs.check.as_ref().map(|check| Check {
        name: &check.name,
        values: check.value.as_ref(),
    });
    Some(Record {
        derive: container.derive,
        input: container.input,
        root: root(attrs),
        bound: attrs.bound.as_ref().map(|attr| &attr.value),
        content,
        check,
    })
}

fn checkable(container: &Container<'_>, check: &Ident, errors: &mut Errors) {
    if container.derive == Derive::FromKplRecord {
        errors.at(
            check,
            "`check` needs `KplRecord`: a type that is only read cannot be written to compare",
        );
    } else if !container.input.generics.params.is_empty() {
        errors.at(
            check,
            "`check` is for types without parameters: a test has values of one type",
        );
    }
}

fn transparent_field<'a>(
    container: &'a Container<'a>,
    transparent: &Ident,
    errors: &mut Errors,
) -> Option<&'a Field<'a>> {
    let fields = container.shapes.iter().flat_map(|shape| &shape.fields);
    let of_fields = fields.clone().flat_map(|field| field.attrs.present());
    for name in container.attrs.present().into_iter().chain(of_fields) {
        errors.at(
            name,
            format_args!("`{name}` contradicts `transparent`, which leaves everything to the type of the only field"),
        );
    }
    match container.shapes.as_slice() {
        [shape] if shape.variant.is_none() && shape.fields.len() == 1 => shape.fields.first(),
        _ => {
            errors.at(transparent, "`transparent` is for structs with exactly one field");
            None
        }
    }
}

fn own<'a>(container: &'a Container<'a>, errors: &mut Errors) -> Option<Own<'a>> {
    let is_union = matches!(container.input.data, syn::Data::Union(_));
    if container.shapes.is_empty() && !is_union {
        errors.at(
            &container.input.ident,
            "an enum without variants cannot be a record: it has no values",
        );
    }
    let payload = payload::payload(container, errors);
    serde::conflicts(container, errors);
    key::contradicting(&container.attrs, errors);
    let shapes: Vec<_> = container
        .shapes
        .iter()
        .map(|shape| {
            payload::elided_fields(container, shape, errors);
            let key = key::key(container, shape, errors);
            Some(Shape {
                variant: shape.variant,
                style: shape.style,
                fields: &shape.fields,
                explicit_hash_key: key::explicit_hash_key(container, shape, errors),
                tags: tags(shape, errors),
                key: key?,
            })
        })
        .collect();
    Some(Own {
        payload: payload?,
        explicit_hash_key_with: container.attrs.explicit_hash_key_with.as_ref().map(|attr| &attr.value),
        shapes: shapes.into_iter().collect::<Option<_>>()?,
    })
}

fn tags<'a>(shape: &'a parse::Shape<'a>, errors: &mut Errors) -> Vec<Tag<'a>> {
    let mut by_name = BTreeMap::new();
    let mut tags = Vec::new();
    for field in &shape.fields {
        let Some(tag) = &field.attrs.tag else { continue };
        let name = tag.value.value();
        if let Some(other) = by_name.insert(name.clone(), field.name()) {
            errors.at(
                &tag.value,
                format_args!("the field `{other}` already has the tag {name:?}"),
            );
        }
        tags.push(Tag {
            name: &tag.value,
            field,
        });
    }
    tags
}
