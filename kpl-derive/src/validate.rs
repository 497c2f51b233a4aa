//! From what is written to what is meant. Finds every mistake that tokens alone can show.

use std::collections::BTreeMap;

use syn::{Ident, LitStr, Path, parse_quote};

use crate::attr::ContainerAttrs;
use crate::errors::Errors;
use crate::model::{Content, Key, KeyPiece, Own, Payload, Record, Shape, Tag};
use crate::names::{self, list};
use crate::parse::{self, Container, Field};
use crate::serde_attr;
use crate::template::{self, Piece};

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
    let payload = payload(container, errors);
    contradicting_keys(&container.attrs, errors);
    let shapes: Vec<_> = container
        .shapes
        .iter()
        .map(|shape| {
            elided_fields(container, shape, errors);
            let key = key(container, shape, errors);
            Some(Shape {
                variant: shape.variant,
                style: shape.style,
                fields: &shape.fields,
                explicit_hash_key: explicit_hash_key(container, shape, errors),
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

fn payload<'a>(container: &'a Container<'a>, errors: &mut Errors) -> Option<Payload<'a>> {
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
                    "`{ident}` has no codec: add `#[kpl(codec = ...)]`, one of {}",
                    names::CODECS
                ),
            );
        }
        return None;
    };
    let elided = fields().any(|field| field.attrs.elide.is_some());
    if elided {
        serde_attr::check_container(&container.input.attrs, errors);
    }
    Some(match elided {
        true => Payload::Elided(&codec.value),
        false => Payload::Codec(&codec.value),
    })
}

fn payload_field<'a>(container: &'a Container<'a>, field: &'a Field<'a>, errors: &mut Errors) -> Option<Payload<'a>> {
    if let Some(codec) = &container.attrs.codec {
        let message = format_args!(
            "`codec` contradicts `payload`: the field `{}` is the payload, its bytes as they are",
            field.name()
        );
        errors.at(&codec.name, message);
    }
    for shape in &container.shapes {
        let mut first = true;
        for other in &shape.fields {
            let Some(name) = &other.attrs.payload else {
                would_be_lost(other, field, errors);
                continue;
            };
            if shape.variant.is_some() {
                errors.at(
                    name,
                    "`payload` in an enum: nothing would tell the variant on reading. Use a codec",
                );
            } else if !std::mem::take(&mut first) {
                let message = format_args!("`{}` is the payload already, and there can be one only", field.name());
                errors.at(name, message);
            }
            for other in other.attrs.present().into_iter().filter(|other| *other != name) {
                errors.at(other, format_args!("`{other}` contradicts `payload` on the same field"));
            }
        }
    }
    Some(Payload::Field(field))
}

/// Beside a payload field, others must travel as a key or as a tag.
fn would_be_lost(field: &Field<'_>, payload: &Field<'_>, errors: &mut Errors) {
    let attrs = &field.attrs;
    if let Some(elide) = &attrs.elide {
        errors.at(
            elide,
            "`elide` has no meaning beside `payload`: the payload is that one field in any case",
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
    let message = format_args!(
        "the field `{}` would be lost: the payload is `{}` alone. Mark it with `partition_key`, \
         `explicit_hash_key` or `tag = \"name\"`, or use a codec for all fields",
        field.name(),
        payload.name()
    );
    match &field.ast.ident {
        Some(name) => errors.at(name, message),
        None => errors.at(&field.ast.ty, message),
    }
}

fn elided_fields(container: &Container<'_>, shape: &parse::Shape<'_>, errors: &mut Errors) {
    for field in &shape.fields {
        let Some(elide) = &field.attrs.elide else { continue };
        if field.attrs.partition_key.is_none() && !field.attrs.failed.contains(names::PARTITION_KEY) {
            errors.at(
                elide,
                "`elide` without `partition_key`: a field can be left out only if it travels as the key",
            );
        } else if shape.variant.is_none() && field.ast.ident.is_none() && shape.fields.len() == 1 {
            let message = format_args!(
                "`elide` would leave nothing of the tuple struct `{}`: give its field a name",
                container.input.ident
            );
            errors.at(elide, message);
        }
    }
}

fn contradicting_keys(attrs: &ContainerAttrs, errors: &mut Errors) {
    if let (Some(_), Some(with)) = (&attrs.partition_key, &attrs.partition_key_with) {
        errors.at(
            &with.name,
            "`partition_key_with` contradicts `partition_key`: there is a template already",
        );
    }
}

fn key<'a>(container: &'a Container<'a>, shape: &'a parse::Shape<'a>, errors: &mut Errors) -> Option<Key<'a>> {
    let attrs = &container.attrs;
    let mut marked = shape
        .fields
        .iter()
        .filter_map(|field| field.attrs.partition_key.as_ref().map(|name| (field, name)));
    let field = marked.next();
    if let Some((first, _)) = field {
        for (second, name) in marked {
            let message = format_args!(
                "`{first}` is the partition key already. For a key of both: `partition_key = \"{{{first}}}/{{{second}}}\"`",
                first = first.name(),
                second = second.name()
            );
            errors.at(name, message);
        }
    }
    let of_struct = attrs.partition_key.as_ref().filter(|_| shape.variant.is_none());
    let template = shape.attrs.partition_key.as_ref().or(of_struct);
    if let (Some((_, name)), Some(_)) = (field, template) {
        errors.at(
            name,
            "this field and a template contradict each other: there can be one partition key only",
        );
    }
    if let Some(with) = &attrs.partition_key_with {
        let own = field
            .map(|(_, name)| name)
            .into_iter()
            .chain(shape.attrs.partition_key.as_ref().map(|attr| &attr.name));
        for name in own {
            errors.at(
                name,
                "`partition_key` contradicts `partition_key_with`: the function makes the key already",
            );
        }
        return Some(Key::Function(&with.value));
    }
    if let Some((field, _)) = field {
        return Some(Key::Field(field));
    }
    if let Some(template) = template.or(attrs.partition_key.as_ref()) {
        let pieces = template_pieces(container, shape, &template.value, errors)?;
        return Some(Key::Template(&template.value, pieces));
    }
    missing_key(container, shape, errors);
    None
}

fn missing_key(container: &Container<'_>, shape: &parse::Shape<'_>, errors: &mut Errors) {
    let key = |failed: &crate::attr::Failed| failed.contains(names::PARTITION_KEY);
    let of_container = &container.attrs.failed;
    let meant = key(of_container)
        || of_container.contains(names::PARTITION_KEY_WITH)
        || of_container.contains(names::TRANSPARENT)
        || key(&shape.attrs.failed)
        || shape.fields.iter().any(|field| key(&field.attrs.failed));
    if meant {
        return;
    }
    let place = match shape.variant {
        Some(_) => "the variant",
        None => "the type",
    };
    let message = match shape.fields.is_empty() {
        true => format!(
            "{} has no partition key: write `#[kpl(partition_key = \"...\")]` on {place}",
            shape.describe(container.input)
        ),
        false => format!(
            "{} has no partition key: mark a field with `#[kpl(partition_key)]`, \
             or write a template of fields on {place}: `#[kpl(partition_key = \"{{{}}}\")]`",
            shape.describe(container.input),
            shape.fields.iter().map(Field::name).collect::<Vec<_>>().join("}/{"),
        ),
    };
    errors.at(shape.ident(container.input), message);
}

fn template_pieces<'a>(
    container: &Container<'_>,
    shape: &'a parse::Shape<'a>,
    literal: &LitStr,
    errors: &mut Errors,
) -> Option<Vec<KeyPiece<'a>>> {
    let pieces = errors.take(template::parse(literal))?;
    if let Some(mistake) = constant_mistake(&pieces, shape) {
        errors.at(literal, mistake);
        return None;
    }
    let mut found = Some(Vec::new());
    for piece in pieces {
        let piece = match piece {
            Piece::Text(text) => Some(KeyPiece::Text(text)),
            Piece::Field { name, spec } => match shape.fields.iter().find(|field| field.name() == name) {
                Some(field) => Some(KeyPiece::Field(field, spec)),
                None => {
                    let described = shape.describe(container.input);
                    let names: Vec<_> = shape.fields.iter().map(Field::name).collect();
                    let message = match names.is_empty() {
                        true => format!("{described} has no field `{name}`: it has no fields"),
                        false => format!("{described} has no field `{name}`: it has {}", list(&names)),
                    };
                    errors.at(literal, message);
                    None
                }
            },
        };
        found = found.zip(piece).map(|(mut found, piece)| {
            found.push(piece);
            found
        });
    }
    found
}

/// What is wrong with a template that names no field, if anything.
fn constant_mistake(pieces: &[Piece], shape: &parse::Shape<'_>) -> Option<String> {
    const MAX_CHARACTERS: usize = 256;
    let text = match pieces {
        [] => "",
        [Piece::Text(text)] => text,
        _ => return None,
    };
    if shape.fields.iter().any(|field| field.name() == *text) {
        return Some(format!(
            "all records would have the partition key `{text}`: for the field's value write `\"{{{text}}}\"`"
        ));
    }
    match text.chars().count() {
        1..=MAX_CHARACTERS => None,
        count => Some(format!(
            "a partition key has 1 to {MAX_CHARACTERS} characters, this one has {count}"
        )),
    }
}

fn explicit_hash_key<'a>(
    container: &Container<'_>,
    shape: &'a parse::Shape<'a>,
    errors: &mut Errors,
) -> Option<&'a Field<'a>> {
    let mut first: Option<&Field<'_>> = None;
    for field in &shape.fields {
        let Some(name) = &field.attrs.explicit_hash_key else {
            continue;
        };
        if container.attrs.explicit_hash_key_with.is_some() {
            errors.at(
                name,
                "`explicit_hash_key` contradicts `explicit_hash_key_with`: the function makes the key already",
            );
        }
        match first {
            Some(first) => errors.at(
                name,
                format_args!(
                    "`{}` is the explicit hash key already, and there can be one only",
                    first.name()
                ),
            ),
            None => first = Some(field),
        }
    }
    first
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
