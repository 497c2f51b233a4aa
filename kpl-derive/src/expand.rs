//! From a record without mistakes to the two impls.

mod bounds;
mod read;
mod write;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{GenericArgument, Generics, Ident, Path, PathArguments, Type, WherePredicate};

use crate::elide;
use crate::generics::{self, lifetime, with_outliving, with_predicates};
use crate::model::{Content, Payload, Record};
use crate::parse::Field;

pub(crate) fn expand(record: &Record<'_>) -> TokenStream {
    let helpers = match &record.content {
        Content::Own(own) => match own.payload {
            Payload::Elided(_) => elide::helpers(record, own),
            Payload::Codec(_) | Payload::Field(_) => TokenStream::new(),
        },
        Content::Transparent(_) => TokenStream::new(),
    };
    let this = generics::this_type(record.input);

    let writing = bounded(record, bounds::written);
    let (impl_generics, _, where_clause) = writing.split_for_impl();
    let methods = write::methods(record);

    let lifetime = lifetime();
    let reading = with_outliving(&bounded(record, bounds::read), &lifetime);
    let (read_generics, _, read_where_clause) = reading.split_for_impl();
    let items = read::items(record);

    in_const(
        &record.root,
        &quote! {
            #helpers
            #[automatically_derived]
            impl #impl_generics __kpl::KplRecord for #this #where_clause {
                #methods
            }
            #[automatically_derived]
            impl #read_generics __kpl::FromKplRecord<#lifetime> for #this #read_where_clause {
                #items
            }
        },
    )
}

/// The impls in a scope of their own, where `__kpl` is all that they name.
pub(crate) fn in_const(root: &Path, items: &TokenStream) -> TokenStream {
    quote! {
        #[doc(hidden)]
        #[allow(
            dead_code,
            deprecated,
            non_snake_case,
            private_bounds,
            unused_qualifications,
            clippy::absolute_paths
        )]
        const _: () = {
            use #root::derive_support as __kpl;
            #items
        };
    }
}

/// The type's generics with the user's `bound`, or else with the bounds that the derive makes.
fn bounded<F>(record: &Record<'_>, predicates: F) -> Generics
where
    F: FnOnce(&Record<'_>) -> Vec<WherePredicate>,
{
    let generics = &record.input.generics;
    match record.bound {
        Some(bound) => with_predicates(generics, bound.iter().cloned()),
        None if generics::is_generic(generics) => with_predicates(generics, predicates(record)),
        None => generics.clone(),
    }
}

/// The place of some tokens of the user's, with the names of the derive.
fn at(tokens: &impl ToTokens) -> Span {
    Span::call_site().located_at(tokens.span())
}

/// A variable that the user's tokens cannot see. Nor can a constant or unit struct of the user's be meant by it, for
/// which `mixed_site` is not enough: so it has a name that nobody gives one.
fn variable(name: &str) -> Ident {
    format_ident!("__{name}", span = Span::mixed_site())
}

/// A pattern that binds some fields of a struct or variant.
fn pattern(path: &TokenStream, fields: &[&Field<'_>]) -> TokenStream {
    let fields = fields.iter().map(|field| {
        let (member, binding) = (&field.member, &field.binding);
        quote!(#member: #binding)
    });
    quote!(#path { #(#fields,)* .. })
}

/// The `T` of an `Option<T>`, as far as tokens tell, or else the type.
fn optional(ty: &Type) -> &Type {
    let Type::Path(path) = ty else { return ty };
    let Some(last) = path.path.segments.last().filter(|last| last.ident == "Option") else {
        return ty;
    };
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(GenericArgument::Type(inner)) => inner,
            _ => ty,
        },
        _ => ty,
    }
}
