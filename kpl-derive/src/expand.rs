//! From a record without mistakes to its impls.

mod bounds;
mod read;
mod write;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{GenericArgument, Generics, Ident, Path, PathArguments, Type, WherePredicate};

use crate::generics::{is_generic, lifetime, this_type, with_outliving, with_predicates};
use crate::model::{Check, Content, Own, Payload, Record};
use crate::parse::Field;
use crate::{Derive, elide};

pub(crate) fn expand(record: &Record<'_>) -> TokenStream {
    let writing = (record.derive == Derive::KplRecord).then(|| writing(record));
    let reading = reading(record);
    let impls = in_const(&record.root, &quote!(#writing #reading));
    let check = record.check.as_ref().map(|check| check_test(record, check));
    quote!(#impls #check)
}

/// Returns the test. It stands beside the type: the compiler does not find tests inside of others. Its body is that of a
/// trait's function, in which the user's path may begin with `Self`.
fn check_test(record: &Record<'_>, check: &Check<'_>) -> TokenStream {
    let (root, ident) = (&record.root, &record.input.ident);
    let test = format_ident!("kpl_check_{}", ident.unraw(), span = check.name.span());
    let values = match check.values {
        Some(function) => quote_spanned!(at(function)=> #function()),
        None => quote_spanned!(at(check.name)=> __kpl::arbitrary_values::<#ident>()),
    };
    let call = quote_spanned!(at(check.name)=> __kpl::check::<#ident>);
    let allow = allow();
    quote! {
        #[cfg(test)]
        #[doc(hidden)]
        #allow
        #[::core::prelude::v1::test]
        fn #test() {
            use #root::derive_support as __kpl;
            trait __Check {
                fn __check();
            }
            impl __Check for #ident {
                fn __check() {
                    #call(#values);
                }
            }
            <#ident as __Check>::__check();
        }
    }
}

fn writing(record: &Record<'_>) -> TokenStream {
    let this = this_type(record.input);
    let helpers = eliding(record).map(|own| elide::written_types(record, own));
    let predicates = is_generic(&record.input.generics).then(|| bounds::written(record));
    let generics = bounded(record, predicates);
    let (generics, _, where_clause) = generics.split_for_impl();
    let methods = write::methods(record);
    quote! {
        #helpers
        #[automatically_derived]
        impl #generics __kpl::KplRecord for #this #where_clause {
            #methods
        }
    }
}

/// `FromKplRecord` asks for this impl, so that a type which cannot be read is a mistake. `KplRecord` does not: there, a
/// where clause makes the impl apply only if the type can be read, be it generic or not. It mentions a lifetime, so the
/// compiler does not reject it where it is false.
fn reading(record: &Record<'_>) -> TokenStream {
    let this = this_type(record.input);
    let lifetime = lifetime();
    let helpers = eliding(record).map(|own| elide::read_type_definition(record, own));
    let conditional = is_generic(&record.input.generics) || record.derive == Derive::KplRecord;
    let predicates = conditional.then(|| bounds::read(record));
    let generics = with_outliving(&bounded(record, predicates), &lifetime);
    let (generics, _, where_clause) = generics.split_for_impl();
    let items = read::items(record);
    quote! {
        #helpers
        #[automatically_derived]
        impl #generics __kpl::FromKplRecord<#lifetime> for #this #where_clause {
            #items
        }
    }
}

/// Returns the content if one of its fields is left out of the payload.
fn eliding<'a>(record: &'a Record<'a>) -> Option<&'a Own<'a>> {
    match &record.content {
        Content::Own(own) if matches!(own.payload, Payload::Elided(_)) => Some(own),
        Content::Own(_) | Content::Transparent(_) => None,
    }
}

/// Returns the impls in a scope of their own, in which `__kpl` is the only name that they use.
pub(crate) fn in_const(root: &Path, items: &TokenStream) -> TokenStream {
    let allow = allow();
    quote! {
        #[doc(hidden)]
        #allow
        const _: () = {
            use #root::derive_support as __kpl;
            #items
        };
    }
}

/// Returns the attribute with which what the derive generates does not warn.
fn allow() -> TokenStream {
    quote! {
        #[allow(
            dead_code,
            deprecated,
            non_snake_case,
            private_bounds,
            unused_qualifications,
            clippy::absolute_paths
        )]
    }
}

/// Returns the type's generics with the user's `bound`, or else with these predicates.
fn bounded(record: &Record<'_>, predicates: Option<Vec<WherePredicate>>) -> Generics {
    let predicates = match record.bound {
        Some(bound) => bound.iter().cloned().collect(),
        None => predicates.unwrap_or_default(),
    };
    with_predicates(&record.input.generics, predicates)
}

/// Returns the position of some tokens of the user's, with the names of the derive.
fn at(tokens: &impl ToTokens) -> Span {
    Span::call_site().located_at(tokens.span())
}

/// Returns a variable that the user's tokens cannot see. `mixed_site` does not keep it from meaning a constant or unit
/// struct of the user's, so the prefix does.
fn variable(name: &str) -> Ident {
    format_ident!("__{name}", span = Span::mixed_site())
}

/// Returns a pattern that binds some fields of a struct or variant.
fn pattern(path: &TokenStream, fields: &[&Field<'_>]) -> TokenStream {
    let fields = fields.iter().map(|field| {
        let (member, binding) = (&field.member, &field.binding);
        quote!(#member: #binding)
    });
    quote!(#path { #(#fields,)* .. })
}

/// Returns the `T` of an `Option<T>`, as far as tokens show one, or else the type.
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
