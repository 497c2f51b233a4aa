//! The generics of the impls.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{DeriveInput, GenericParam, Generics, Ident, Lifetime, LifetimeParam, Type, WherePredicate};

/// Returns the lifetime of the bytes that a record is read from.
pub(crate) fn lifetime() -> Lifetime {
    Lifetime::new("'__kpl", Span::call_site())
}

/// Returns whether the type has parameters that decide about its traits: types and constants, not lifetimes.
pub(crate) fn is_generic(generics: &Generics) -> bool {
    generics
        .params
        .iter()
        .any(|param| !matches!(param, GenericParam::Lifetime(_)))
}

/// Returns the type itself, with its parameters.
pub(crate) fn this_type(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    let (_, arguments, _) = input.generics.split_for_impl();
    quote!(#ident #arguments)
}

/// Returns whether a type mentions a parameter of the container.
pub(crate) fn mentions_parameter(ty: &Type, generics: &Generics) -> bool {
    let params: Vec<&Ident> = generics
        .params
        .iter()
        .filter_map(|param| match param {
            GenericParam::Type(param) => Some(&param.ident),
            GenericParam::Const(param) => Some(&param.ident),
            GenericParam::Lifetime(_) => None,
        })
        .collect();
    any_ident(ty.to_token_stream(), &mut |ident| params.contains(&ident))
}

fn any_ident(tokens: TokenStream, test: &mut impl FnMut(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => test(&ident),
        TokenTree::Group(group) => any_ident(group.stream(), test),
        _ => false,
    })
}

/// Returns the same generics with more predicates.
pub(crate) fn with_predicates(generics: &Generics, predicates: impl IntoIterator<Item = WherePredicate>) -> Generics {
    let mut generics = generics.clone();
    let mut predicates = predicates.into_iter().peekable();
    if predicates.peek().is_some() {
        generics.make_where_clause().predicates.extend(predicates);
    }
    generics
}

/// Returns the same generics, preceded by a lifetime that outlives all of theirs.
pub(crate) fn with_outliving(generics: &Generics, lifetime: &Lifetime) -> Generics {
    let mut generics = generics.clone();
    let mut param = LifetimeParam::new(lifetime.clone());
    param.bounds = generics.lifetimes().map(|param| param.lifetime.clone()).collect();
    generics.params.insert(0, GenericParam::Lifetime(param));
    generics
}
