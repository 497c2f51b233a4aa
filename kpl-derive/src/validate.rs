//! From what is written to what is meant. Finds every mistake that tokens alone can show.

mod key;
mod payload;

use std::collections::BTreeMap;

use syn::{Ident, Path, parse_quote};

use crate::attr::ContainerAttrs;
use crate::errors::Errors;
use crate::model::{Content, Own, Record, Shape, Tag};
use crate::parse::{self, Container, Field};

/// The path of the crate, also where the rest has mistakes.
pub(crate) fn root(attrs: &ContainerAttrs) -> Path {
    attrs
        .krate
        .as_ref()
        .map_or_else(|| parse_quote!(::kpl), |attr| attr.value.clone())
}

/// The record, or `None` with at least one error.
pub(crate) fn validate<'a>(container: &'a Container<'a>, errors: &mut Errors) -> Option<Record<'a>> {
    let attrs = &container.attrs;
    let content = match &attrs.transparent {
        Some(transparent) => Content::Transparent(transparent_field(container, transparent, errors)?),
        None => Content::Own(own(container, errors)?),
    };
    Some(Record {
        derive: container.derive,
        input: container.input,
        root: root(attrs),
        bound: attrs.bound.as_ref().map(|attr| &attr.value),
        content,
    })
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
            format_args!("`{name}` contradicts `transparent`, which leaves all of it to the only field's type"),
        );
    }
    match container.shapes.as_slice() {
        [shape] if shape.variant.is_none() && shape.fields.len() == 1 => shape.fields.first(),
        _ => {
            errors.at(transparent, "`transparent` is for structs of one field");
            None
        }
    }
}

fn own<'a>(container: &'a Container<'a>, errors: &mut Errors) -> Option<Own<'a>> {
    let is_union = matches!(container.input.data, syn::Data::Union(_));
    if container.shapes.is_empty() && !is_union {
        errors.at(
            &container.input.ident,
            "an enum without variants has no values, so no records",
        );
    }
    let payload = payload::payload(container, errors);
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
                format_args!("the field `{other}` is the tag {name:?} already"),
            );
        }
        tags.push(Tag {
            name: &tag.value,
            field,
        });
    }
    tags
}
