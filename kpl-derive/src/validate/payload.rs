//! What the payload is.

use crate::errors::Errors;
use crate::model::Payload;
use crate::names;
use crate::parse::{Container, Field, Shape};
use crate::serde_attr;

pub(super) fn payload<'a>(container: &'a Container<'a>, errors: &mut Errors) -> Option<Payload<'a>> {
    let attrs = &container.attrs;
    let fields = || container.shapes.iter().flat_map(|shape| &shape.fields);
    let field = fields().find(|field| field.attrs.payload.is_some());
    if let Some(field) = field {
        return payload_field(container, field, errors);
    }
    let meant = fields().any(|field| field.attrs.failed.contains(names::PAYLOAD))
        || attrs.failed.contains(names::CODEC)
        || attrs.failed.contains(names::TRANSPARENT);
    let Some(codec) = &attrs.codec else {
        if !meant {
            let ident = &container.input.ident;
            errors.at(
                ident,
                format_args!(
                    "`{ident}` has no codec: add `#[kpl(codec = ...)]` with {}",
                    names::CODECS
                ),
            );
        }
        return None;
    };
    let elided = fields().any(|field| field.attrs.elide.is_some());
    if elided {
        serde_attr::check_container(&container.input.attrs, errors);
        for variant in container.shapes.iter().filter_map(|shape| shape.variant) {
            serde_attr::check_variant(&variant.attrs, errors);
        }
    }
    Some(match elided {
        true => Payload::Elided(&codec.value),
        false => Payload::Codec(&codec.value),
    })
}

fn payload_field<'a>(container: &'a Container<'a>, field: &'a Field<'a>, errors: &mut Errors) -> Option<Payload<'a>> {
    if let Some(codec) = &container.attrs.codec {
        let message = format!(
            "`codec` contradicts `payload`: the bytes of the field `{}` are the payload",
            field.name()
        );
        errors.at(&codec.name, message);
    }
    for shape in &container.shapes {
        let mut first = true;
        for other in &shape.fields {
            let Some(name) = &other.attrs.payload else {
                must_travel(other, field, errors);
                continue;
            };
            if shape.variant.is_some() {
                errors.at(
                    name,
                    "`payload` cannot be used in an enum: a reader could not determine the variant; use a codec",
                );
            } else if !std::mem::take(&mut first) {
                let message = format!("`{}` is already the payload: there can be only one", field.name());
                errors.at(name, message);
            }
            for other in other.attrs.present().into_iter().filter(|other| *other != name) {
                errors.at(other, format_args!("`{other}` contradicts `payload` on the same field"));
            }
        }
    }
    Some(Payload::Field(field))
}

/// Reports a field beside the payload that travels neither as a key nor as a tag.
fn must_travel(field: &Field<'_>, payload: &Field<'_>, errors: &mut Errors) {
    let attrs = &field.attrs;
    if let Some(elide) = &attrs.elide {
        errors.at(
            elide,
            format_args!(
                "`elide` has no effect beside `payload`: the payload is the field `{}` alone",
                payload.name()
            ),
        );
    }
    let travels = attrs.partition_key.is_some() || attrs.explicit_hash_key.is_some() || attrs.tag.is_some();
    let meant = [
        names::PARTITION_KEY,
        names::EXPLICIT_HASH_KEY,
        names::TAG,
        names::PAYLOAD,
    ];
    if travels || meant.into_iter().any(|name| attrs.failed.contains(name)) {
        return;
    }
    let message = format!(
        "the field `{}` does not travel: the payload is the field `{}` alone; mark it with `partition_key`, \
         `explicit_hash_key` or `tag = \"name\"`, or use a codec for all fields",
        field.name(),
        payload.name()
    );
    match &field.ast.ident {
        Some(name) => errors.at(name, message),
        None => errors.at(&field.ast.ty, message),
    }
}

pub(super) fn elided_fields(container: &Container<'_>, shape: &Shape<'_>, errors: &mut Errors) {
    for field in &shape.fields {
        let Some(elide) = &field.attrs.elide else { continue };
        if field.attrs.partition_key.is_none() && !field.attrs.failed.contains(names::PARTITION_KEY) {
            errors.at(
                elide,
                "`elide` needs `partition_key`: a field can be left out only if it is the key",
            );
            continue;
        }
        if field.ast.ident.is_some() || shape.fields.len() != 1 {
            continue;
        }
        match shape.variant {
            None => {
                let message = format!(
                    "`elide` would leave nothing of the tuple struct `{}`: give its field a name",
                    container.input.ident
                );
                errors.at(elide, message);
            }
            // serde then writes the variant without content, and does not read it without.
            Some(variant) if serde_attr::has(&container.input.attrs, "content") => {
                let message = format!(
                    "`elide` would leave nothing of the variant `{}`, which `#[serde(content)]` could not read back: \
                     give its field a name",
                    variant.ident
                );
                errors.at(elide, message);
            }
            Some(_) => {}
        }
    }
}
