//! The type and its attributes, read and not yet judged.

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
    /// The variable that holds the field, or a reference to it. It stands at the field's type, so that the compiler
    /// points there if the type has not what is asked of it. Its name is one that no constant has.
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
                    "a union cannot be a record: nothing tells which of its fields is meant",
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
    /// The field's name as the user says it.
    pub(crate) fn name(&self) -> String {
        match &self.member {
            Member::Named(name) => name.unraw().to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        }
    }
}

impl Shape<'_> {
    /// "`Click`" or "variant `Click`".
    pub(crate) fn describe(&self, input: &DeriveInput) -> String {
        match self.variant {
            Some(variant) => format!("variant `{}`", variant.ident),
            None => format!("`{}`", input.ident),
        }
    }

    /// Where a mistake is reported that is about all of it.
    pub(crate) fn ident<'b>(&'b self, input: &'b DeriveInput) -> &'b Ident {
        self.variant.map_or(&input.ident, |variant| &variant.ident)
    }
}
