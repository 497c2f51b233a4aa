//! The helper types behind `elide`.
//!
//! serde's own derive writes and reads the rest of the type, so that serde's attributes keep their meaning. It works on
//! two types of the same shape:
//!
//! * `__Written`, a remote definition, serializes directly from a reference to the type, and skips the elided field.
//!   `__WrittenRef` is such a reference that implements `Serialize`.
//! * `__Read`, in which the elided field has no value, is deserialized and then moved into the type.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::{DeriveInput, Fields, GenericParam, Generics, LifetimeParam, WhereClause, WherePredicate, parse_quote};

use crate::generics::{is_generic, lifetime, mentions_parameter, this_type, with_predicates};
use crate::model::{Own, Record, Shape};
use crate::serde_attr;

/// Returns the definitions of `__Written` and `__WrittenRef`.
pub(crate) fn written_types(record: &Record<'_>, own: &Own<'_>) -> TokenStream {
    let input = record.input;
    let this = this_type(input);
    let remote = input.ident.to_string();
    let attributes = container_attributes(input);
    // The where clause has the bounds, unless the user wrote them.
    let bound = serde_attr::serialize_bound(&input.attrs)
        .is_none()
        .then(|| quote!(#[serde(bound(serialize = ""))]));

    let bounded = with_predicates(&input.generics, written_predicates(record, own));
    let (_, arguments, where_clause) = bounded.split_for_impl();
    let turbofish = arguments.as_turbofish();
    let written = definition(input, own, &quote!(__Written), &bounded, &|ty| ty);

    let lifetime = lifetime();
    let mut referring = bounded.clone();
    referring
        .params
        .insert(0, GenericParam::Lifetime(LifetimeParam::new(lifetime.clone())));
    let (reference_generics, reference_arguments, _) = referring.split_for_impl();

    quote! {
        #[derive(__kpl::serde::Serialize)]
        #attributes
        #[serde(remote = #remote)]
        #bound
        #written

        struct __WrittenRef #reference_generics (&#lifetime #this) #where_clause;

        #[automatically_derived]
        impl #reference_generics __kpl::serde::Serialize for __WrittenRef #reference_arguments #where_clause {
            fn serialize<__S>(&self, __serializer: __S) -> __kpl::Result<__S::Ok, __S::Error>
            where
                __S: __kpl::serde::Serializer,
            {
                __Written #turbofish::serialize(self.0, __serializer)
            }
        }
    }
}

/// Returns the definition of `__Read`.
pub(crate) fn read_type_definition(record: &Record<'_>, own: &Own<'_>) -> TokenStream {
    let input = record.input;
    let attributes = container_attributes(input);
    let no_value = |ty| quote!(__kpl::PhantomData<fn() -> #ty>);
    let read = definition(input, own, &quote!(__Read), &input.generics, &no_value);
    quote! {
        #[derive(__kpl::serde::Deserialize)]
        #attributes
        #read
    }
}

/// Returns an expression that serializes `value` without its elided field.
pub(crate) fn written(value: &TokenStream) -> TokenStream {
    quote!(__WrittenRef(#value))
}

/// Returns `__Read` with its arguments.
pub(crate) fn read_type(record: &Record<'_>) -> TokenStream {
    let (_, arguments, _) = record.input.generics.split_for_impl();
    quote!(__Read #arguments)
}

/// Returns the path of the constructor of `__Read`.
pub(crate) fn read_path(shape: &Shape<'_>) -> TokenStream {
    match shape.variant.map(|variant| &variant.ident) {
        Some(variant) => quote!(__Read::#variant),
        None => quote!(__Read),
    }
}

/// Returns what a generic type needs to be serialized without its elided field.
pub(crate) fn written_predicates(record: &Record<'_>, own: &Own<'_>) -> Vec<WherePredicate> {
    let input = record.input;
    if !is_generic(&input.generics) {
        return Vec::new();
    }
    if let Some(bound) = record.bound {
        return bound.iter().cloned().collect();
    }
    let of_container = serde_attr::serialize_bound(&input.attrs);
    let infer = of_container.is_none();
    let mut predicates = of_container.unwrap_or_default();
    for shape in &own.shapes {
        let attributes = shape.variant.map_or(&[][..], |variant| &variant.attrs);
        let of_variant = serde_attr::serialize_bound(attributes);
        let infer = infer && of_variant.is_none() && serde_attr::is_serialized(attributes);
        predicates.extend(of_variant.into_iter().flatten());
        for field in shape.fields.iter().filter(|field| field.attrs.elide.is_none()) {
            let of_field = serde_attr::serialize_bound(&field.ast.attrs);
            if infer
                && of_field.is_none()
                && serde_attr::is_serialized(&field.ast.attrs)
                && mentions_parameter(&field.ast.ty, &input.generics)
            {
                let ty = without_self(field.ast.ty.to_token_stream(), &this_type(input));
                predicates.push(parse_quote!(#ty: __kpl::serde::Serialize));
            }
            predicates.extend(of_field.into_iter().flatten());
        }
    }
    predicates
}

/// Returns what a generic type needs to be read without its elided field, and to restore that from the key.
pub(crate) fn read_predicates(record: &Record<'_>, own: &Own<'_>) -> Vec<WherePredicate> {
    if !is_generic(&record.input.generics) {
        return Vec::new();
    }
    let (read, lifetime) = (read_type(record), lifetime());
    let elided = own
        .shapes
        .iter()
        .flat_map(|shape| shape.fields)
        .filter(|field| field.attrs.elide.is_some() && mentions_parameter(&field.ast.ty, &record.input.generics));
    let elided = elided.map(|field| {
        let ty = &field.ast.ty;
        parse_quote!(#ty: __kpl::ElidedField)
    });
    std::iter::once(parse_quote!(#read: __kpl::serde::Deserialize<#lifetime>))
        .chain(elided)
        .collect()
}

/// Returns serde's attributes of the type, and those that a type in another module needs.
fn container_attributes(input: &DeriveInput) -> TokenStream {
    let copied = serde_attr::of_serde(&input.attrs);
    let krate = (!serde_attr::has(&input.attrs, "crate")).then(|| quote!(#[serde(crate = "__kpl::serde")]));
    let rename = (!serde_attr::has(&input.attrs, "rename")).then(|| {
        let name = syn::ext::IdentExt::unraw(&input.ident).to_string();
        quote!(#[serde(rename = #name)])
    });
    quote!(#krate #rename #(#copied)*)
}

/// Returns a type of the same shape, in which the elided fields have another type.
fn definition(
    input: &DeriveInput,
    own: &Own<'_>,
    name: &TokenStream,
    generics: &Generics,
    elided: &dyn Fn(TokenStream) -> TokenStream,
) -> TokenStream {
    let this = this_type(input);
    let (params, _, where_clause) = generics.split_for_impl();
    let mut variants = Vec::new();
    for shape in &own.shapes {
        let Some(variant) = shape.variant else {
            let body = body(shape, &this, where_clause, elided);
            let end = (!matches!(shape.style, Fields::Named(_))).then(|| quote!(;));
            return quote!(struct #name #params #body #end);
        };
        let attributes = serde_attr::of_serde(&variant.attrs);
        let ident = &variant.ident;
        let body = body(shape, &this, None, elided);
        variants.push(quote!(#(#attributes)* #ident #body));
    }
    quote!(enum #name #params #where_clause { #(#variants),* })
}

fn body(
    shape: &Shape<'_>,
    this: &TokenStream,
    where_clause: Option<&WhereClause>,
    elided: &dyn Fn(TokenStream) -> TokenStream,
) -> TokenStream {
    let definitions = shape.fields.iter().map(|field| {
        let ty = without_self(field.ast.ty.to_token_stream(), this);
        let name = field.ast.ident.as_ref().map(|name| quote!(#name:));
        if field.attrs.elide.is_some() {
            let ty = elided(ty);
            return quote!(#[serde(skip)] #name #ty);
        }
        let attributes = serde_attr::of_serde(&field.ast.attrs);
        quote!(#(#attributes)* #name #ty)
    });
    match shape.style {
        Fields::Named(_) => quote!(#where_clause { #(#definitions),* }),
        Fields::Unnamed(_) => quote!((#(#definitions),*) #where_clause),
        Fields::Unit => quote!(#where_clause),
    }
}

/// Returns a field's type in which `Self`, which would mean the helper type, is replaced.
fn without_self(ty: TokenStream, this: &TokenStream) -> TokenStream {
    let mut tokens = ty.into_iter().peekable();
    let mut result = TokenStream::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "Self" => {
                let is_prefix = matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
                result.extend(if is_prefix { quote!(<#this>) } else { this.clone() });
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_self(group.stream(), this));
                inner.set_span(group.span());
                result.extend([TokenTree::Group(inner)]);
            }
            token => result.extend([token]),
        }
    }
    result
}
