//! What the keys are.

use syn::{Ident, LitStr, Member};

use crate::Derive;
use crate::attr::{ContainerAttrs, Failed};
use crate::errors::Errors;
use crate::model::{FieldPiece, Key, KeyPiece};
use crate::names::{self, list};
use crate::parse::{Container, Field, Shape};
use crate::template::{self, Piece};

pub(super) fn contradicting(attrs: &ContainerAttrs, errors: &mut Errors) {
    if let (Some(_), Some(with)) = (&attrs.partition_key, &attrs.partition_key_with) {
        errors.at(
            &with.name,
            "`partition_key_with` contradicts `partition_key`: there is already a template",
        );
    }
}

pub(super) fn key<'a>(container: &'a Container<'a>, shape: &'a Shape<'a>, errors: &mut Errors) -> Option<Key<'a>> {
    let attrs = &container.attrs;
    if let Some(transparent) = &shape.attrs.transparent {
        return inner(container, shape, transparent, errors);
    }
    let mut marked = shape
        .fields
        .iter()
        .filter_map(|field| field.attrs.partition_key.as_ref().map(|name| (field, name)));
    let field = marked.next();
    if let Some((first, _)) = field {
        for (second, name) in marked {
            let message = format!(
                "`{first}` is already the partition key; for a key of both fields write a template: `partition_key = \"{{{first}}}/{{{second}}}\"`",
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
            "this field contradicts the template: there can be only one partition key",
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
                "`partition_key` contradicts `partition_key_with`: the function already returns the key",
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
    if container.derive == Derive::FromKplRecord {
        return Some(Key::None);
    }
    missing_key(container, shape, errors);
    None
}

/// Returns the only field of a transparent variant.
fn inner<'a>(
    container: &'a Container<'a>,
    shape: &'a Shape<'a>,
    transparent: &Ident,
    errors: &mut Errors,
) -> Option<Key<'a>> {
    let attrs = &container.attrs;
    let of_type = [
        attrs.partition_key_with.as_ref().map(|attr| &attr.name),
        attrs.explicit_hash_key_with.as_ref().map(|attr| &attr.name),
    ];
    for name in of_type.into_iter().flatten() {
        let message =
            format_args!("`transparent` contradicts `{name}` on the type: the function already returns the key");
        errors.at(transparent, message);
    }
    let of_variant = shape.attrs.partition_key.as_ref().map(|attr| &attr.name);
    let of_fields = shape.fields.iter().flat_map(|field| field.attrs.present());
    for name in of_variant.into_iter().chain(of_fields) {
        let message = format_args!(
            "`{name}` contradicts `transparent` on the variant, which leaves keys and tags to the type of the only field"
        );
        errors.at(name, message);
    }
    match shape.fields.as_slice() {
        [field] => Some(Key::Inner(field)),
        _ => {
            errors.at(
                transparent,
                "on a variant, `transparent` needs exactly one field, whose type is a record itself",
            );
            None
        }
    }
}

fn missing_key(container: &Container<'_>, shape: &Shape<'_>, errors: &mut Errors) {
    let key = |failed: &Failed| failed.contains(names::PARTITION_KEY);
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
        _ if is_wrapper(shape) => format!(
            "{} has no partition key: if its field is a record itself, write `#[kpl(transparent)]` on the variant; \
             otherwise mark the field with `#[kpl(partition_key)]`, or write a template on the variant: \
             `#[kpl(partition_key = \"{{0}}\")]`, or with a field of that field: `\"{{0.id}}\"`",
            shape.describe(container.input)
        ),
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

/// Returns whether it is a variant such as `Placed(OrderPlaced)`.
fn is_wrapper(shape: &Shape<'_>) -> bool {
    shape.variant.is_some() && matches!(shape.style, syn::Fields::Unnamed(_)) && shape.fields.len() == 1
}

fn template_pieces<'a>(
    container: &Container<'_>,
    shape: &'a Shape<'a>,
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
            Piece::Field { name, path, spec } => match shape.fields.iter().find(|field| field.name() == name) {
                Some(field) => {
                    let path: syn::Result<_> = path.iter().map(|name| member(name, literal)).collect();
                    let field = |path| KeyPiece::Field(FieldPiece { field, path, spec });
                    errors.take(path).map(field)
                }
                None => {
                    let described = shape.describe(container.input);
                    let names: Vec<_> = shape.fields.iter().map(Field::name).collect();
                    let fields = match names.as_slice() {
                        [] => "it has no fields".into(),
                        [only] => format!("its only field is `{only}`"),
                        _ => format!("its fields are {}", list(&names)),
                    };
                    errors.at(literal, format_args!("{described} has no field `{name}`: {fields}"));
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

/// Returns a field of a type that the derive does not see, at the template that names it.
fn member(name: &str, literal: &LitStr) -> syn::Result<Member> {
    let parsed = syn::parse_str(name).or_else(|_| syn::parse_str(&format!("r#{name}")));
    let mut member = parsed
        .map_err(|_| syn::Error::new_spanned(literal, format_args!("`{name}` is not a valid name of a field")))?;
    match &mut member {
        Member::Named(name) => name.set_span(literal.span()),
        Member::Unnamed(index) => index.span = literal.span(),
    }
    Ok(member)
}

/// Returns what is wrong with a template that does not name a field, if anything.
fn constant_mistake(pieces: &[Piece], shape: &Shape<'_>) -> Option<String> {
    const MAX_CHARACTERS: usize = 256;
    let text = match pieces {
        [] => "",
        [Piece::Text(text)] => text,
        _ => return None,
    };
    if shape.fields.iter().any(|field| field.name() == *text) {
        return Some(format!(
            "every record would have the partition key `{text}`; for the value of the field write `\"{{{text}}}\"`"
        ));
    }
    match text.chars().count() {
        1..=MAX_CHARACTERS => None,
        count => Some(format!(
            "a partition key has 1 to {MAX_CHARACTERS} characters; this one has {count}"
        )),
    }
}

pub(super) fn explicit_hash_key<'a>(
    container: &Container<'_>,
    shape: &'a Shape<'a>,
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
                "`explicit_hash_key` contradicts `explicit_hash_key_with`: the function already returns the key",
            );
        }
        match first {
            Some(first) => errors.at(
                name,
                format_args!(
                    "`{}` is already the explicit hash key: there can be only one",
                    first.name()
                ),
            ),
            None => first = Some(field),
        }
    }
    first
}
