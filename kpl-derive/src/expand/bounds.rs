//! The where clauses of the impls for generic types: what they need beyond their own bounds.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Type, WherePredicate, parse_quote};

use super::optional;
use super::write::formatting_trait;
use crate::elide;
use crate::generics::{lifetime, mentions_parameter};
use crate::model::{Content, Key, KeyPiece, Payload, Record, Shape};
use crate::parse::Field;

/// Predicates of the types that mention a parameter. Those of other types hold, or are errors at the field.
struct Predicates<'a> {
    record: &'a Record<'a>,
    all: Vec<WherePredicate>,
}

impl Predicates<'_> {
    fn push(&mut self, ty: &Type, bound: &TokenStream) {
        if mentions_parameter(ty, &self.record.input.generics) {
            self.all.push(parse_quote!(#ty: #bound));
        }
    }
}

/// Returns what a type needs to be written.
pub(super) fn written(record: &Record<'_>) -> Vec<WherePredicate> {
    let all = Vec::new();
    let mut predicates = Predicates { record, all };
    match &record.content {
        Content::Transparent(field) => predicates.push(&field.ast.ty, &quote!(__kpl::KplRecord)),
        Content::Own(own) => {
            match own.payload {
                Payload::Codec(codec) => predicates.all.push(parse_quote!(#codec: __kpl::Encode<Self>)),
                Payload::Elided(_) => predicates.all.extend(elide::written_predicates(record, own)),
                Payload::Field(field) => predicates.push(&field.ast.ty, &quote!(__kpl::PayloadField)),
            }
            for shape in &own.shapes {
                written_beside_the_payload(shape, &mut predicates);
            }
        }
    }
    predicates.all
}

fn written_beside_the_payload(shape: &Shape<'_>, predicates: &mut Predicates<'_>) {
    match &shape.key {
        Key::Field(field) => predicates.push(&field.ast.ty, &quote!(__kpl::KeyField)),
        Key::Template(_, pieces) => {
            for piece in pieces {
                // The types of fields inside of fields are not known here.
                if let KeyPiece::Field(piece) = piece
                    && piece.path.is_empty()
                {
                    let bound = match formatting_trait(&piece.spec) {
                        "Display" => quote!(__kpl::KeyField),
                        other => {
                            let other = format_ident!("{other}");
                            quote!(__kpl::core::fmt::#other)
                        }
                    };
                    predicates.push(&piece.field.ast.ty, &bound);
                }
            }
        }
        Key::Inner(field) => predicates.push(&field.ast.ty, &quote!(__kpl::KplRecord)),
        Key::Function(_) | Key::None => {}
    }
    if let Some(field) = shape.explicit_hash_key {
        predicates.push(&field.ast.ty, &quote!(__kpl::HashKeyField));
    }
    for tag in &shape.tags {
        predicates.push(optional(&tag.field.ast.ty), &quote!(__kpl::TagField));
    }
}

/// Returns what a type needs to be read.
pub(super) fn read(record: &Record<'_>) -> Vec<WherePredicate> {
    let lifetime = lifetime();
    let all = Vec::new();
    let mut predicates = Predicates { record, all };
    match &record.content {
        Content::Transparent(field) => {
            let ty = &field.ast.ty;
            predicates.all.push(parse_quote!(#ty: __kpl::FromKplRecord<#lifetime>));
        }
        Content::Own(own) => match own.payload {
            Payload::Codec(codec) => predicates
                .all
                .push(parse_quote!(#codec: __kpl::Decode<#lifetime, Self>)),
            Payload::Elided(_) => predicates.all.extend(elide::read_predicates(record, own)),
            Payload::Field(payload) => {
                for field in own.shapes.iter().flat_map(|shape| shape.fields) {
                    restored(field, payload, &mut predicates);
                }
            }
        },
    }
    predicates.all
}

/// Adds what a field needs to be restored, as the payload or beside it.
fn restored(field: &Field<'_>, payload: &Field<'_>, predicates: &mut Predicates<'_>) {
    let lifetime = lifetime();
    let (ty, attrs) = (&field.ast.ty, &field.attrs);
    if std::ptr::eq(field, payload) {
        predicates.push(ty, &quote!(__kpl::RestoredPayload<#lifetime>));
    } else if attrs.partition_key.is_some() {
        predicates.push(ty, &quote!(__kpl::ElidedField));
    } else if attrs.explicit_hash_key.is_some() {
        predicates.push(ty, &quote!(__kpl::HashKeyField));
    } else {
        predicates.push(optional(ty), &quote!(__kpl::RestoredTag));
    }
}
