//! The type and its attributes, parsed and not validated yet.

use proc_macro2::Span;
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Ident, Index, Member, Variant};

use crate::Derive;
use crate::attr::{ContainerAttrs, FieldAttrs, VariantAttrs};
use crate::errors::Errors;

/// The type that the derive stands on.
pub(crate) struct Container<'a> {
    pub(crate) derive: Derive,
    pub(crate) input: &'a DeriveInput,
    pub(crate) attrs: ContainerAttrs,
    /// One for a struct, one per variant for an enum, none for a union.
    pub(crate) shapes: Vec<Shape<'a>>,
}

/// A struct, or a variant of an enum.
pub(crate) struct Shape<'a> {
    pub(crate) variant: Option<&'a Variant>,
    pub(crate) attrs: VariantAttrs,
    pub(crate) style: &'a syn::Fields,
    pub(crate) fields: Vec<Field<'a>>,
}

pub(crate) struct Field<'a> {
    pub(crate) ast: &'a syn::Field,
    pub(crate) attrs: FieldAttrs,
    pub(crate) member: Member,
    /// The variable that holds the field, or a reference to it. Its span is that of the field's type, so that the
    /// compiler points there if the type lacks a trait. Its name is one that a constant never has.
    pub(crate) binding: Ident,
}

impl<'a> Container<'a> {
    pub(crate) fn parse(derive: Derive, input: &'a DeriveInput, errors: &mut Errors) -> Self {
        let attrs = ContainerAttrs::parse(&input.attrs, errors);
        let shapes = match &input.data {
            Data::Struct(data) => vec![Shape {
                variant: None,
                attrs: VariantAttrs::default(),
                style: &data.fields,
                fields: fields(&data.fields, errors),
            }],
            Data::Enum(data) => {
                let shape = |variant: &'a Variant| Shape {
                    variant: Some(variant),
                    attrs: VariantAttrs::parse(&variant.attrs, errors),
                    style: &variant.fields,
                    fields: fields(&variant.fields, errors),
                };
                data.variants.iter().map(shape).collect()
            }
            Data::Union(data) => {
                errors.at(
                    data.union_token,
                    "a union cannot be a record: it is unknown which of its fields holds a value",
                );
                Vec::new()
            }
        };
        Self {
            derive,
            input,
            attrs,
            shapes,
        }
    }
}

fn fields<'a>(fields: &'a syn::Fields, errors: &mut Errors) -> Vec<Field<'a>> {
    let field = |(index, ast): (usize, &'a syn::Field)| {
        let span = Span::mixed_site().located_at(ast.ty.span());
        let (member, binding) = match &ast.ident {
            Some(name) => (
                Member::Named(name.clone()),
                format_ident!("__field_{}", name.unraw(), span = span),
            ),
            None => (
                Member::Unnamed(Index::from(index)),
                format_ident!("__field_{index}", span = span),
            ),
        };
        Field {
            ast,
            attrs: FieldAttrs::parse(&ast.attrs, errors),
            member,
            binding,
        }
    };
    fields.iter().enumerate().map(field).collect()
}

impl Field<'_> {
    /// Returns the field's name as the user writes it.
    pub(crate) fn name(&self) -> String {
        match &self.member {
            Member::Named(name) => name.unraw().to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        }
    }
}

impl Shape<'_> {
    /// Returns "`Click`" or "variant `Click`".
    pub(crate) fn describe(&self, input: &DeriveInput) -> String {
        match self.variant {
            Some(variant) => format!("variant `{}`", variant.ident),
            None => format!("`{}`", input.ident),
        }
    }

    /// Returns where to report a mistake of the struct or variant as a whole.
    pub(crate) fn ident<'b>(&'b self, input: &'b DeriveInput) -> &'b Ident {
        self.variant.map_or(&input.ident, |variant| &variant.ident)
    }
}
