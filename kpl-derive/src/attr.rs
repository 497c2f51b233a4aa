//! The attributes `#[kpl(...)]`, as the user writes them.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, ExprPath, Ident, LitStr, Path, Token, Type, WherePredicate};

use crate::errors::Errors;
use crate::names::{self, Target, Unknown};

/// An attribute with a value: `name = value`.
pub(crate) struct Named<T> {
    pub(crate) name: Ident,
    pub(crate) value: T,
}

/// The attributes on the type.
#[derive(Default)]
pub(crate) struct ContainerAttrs {
    pub(crate) bound: Option<Named<Punctuated<WherePredicate, Token![,]>>>,
    pub(crate) check: Option<Named<Option<ExprPath>>>,
    pub(crate) codec: Option<Named<Type>>,
    pub(crate) explicit_hash_key_with: Option<Named<ExprPath>>,
    pub(crate) krate: Option<Named<Path>>,
    pub(crate) partition_key: Option<Named<LitStr>>,
    pub(crate) partition_key_with: Option<Named<ExprPath>>,
    pub(crate) transparent: Option<Ident>,
    pub(crate) failed: Failed,
}

/// The attributes on a variant.
#[derive(Default)]
pub(crate) struct VariantAttrs {
    pub(crate) partition_key: Option<Named<LitStr>>,
    pub(crate) transparent: Option<Ident>,
    pub(crate) failed: Failed,
}

/// The attributes on a field.
#[derive(Default)]
pub(crate) struct FieldAttrs {
    pub(crate) elide: Option<Ident>,
    pub(crate) explicit_hash_key: Option<Ident>,
    pub(crate) partition_key: Option<Ident>,
    pub(crate) payload: Option<Ident>,
    pub(crate) tag: Option<Named<LitStr>>,
    pub(crate) failed: Failed,
}

/// The attributes that are there but have a mistake: they must not be reported as missing.
#[derive(Default)]
pub(crate) struct Failed(Vec<String>);

impl Failed {
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|failed| failed == name)
    }
}

impl ContainerAttrs {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self::default();
        let mut failed = Failed::default();
        each(attributes, Target::Container, errors, &mut failed, |name, input| {
            match name.unraw().to_string().as_str() {
                names::BOUND => set(&mut this.bound, name, predicates(input)),
                names::CHECK => set(&mut this.check, name, optional_path(input)),
                names::CODEC => set(&mut this.codec, name, maybe_quoted(input)),
                names::CRATE => set(&mut this.krate, name, root(input)),
                names::EXPLICIT_HASH_KEY_WITH => set(&mut this.explicit_hash_key_with, name, maybe_quoted(input)),
                names::PARTITION_KEY => set(&mut this.partition_key, name, template(name, input)),
                names::PARTITION_KEY_WITH => set(&mut this.partition_key_with, name, maybe_quoted(input)),
                names::TRANSPARENT => set_flag(&mut this.transparent, name, input),
                _ => return None,
            }
            .into()
        });
        this.failed = failed;
        this
    }

    /// Returns the attributes that contradict `transparent`.
    pub(crate) fn present(&self) -> Vec<&Ident> {
        let named = [
            self.codec.as_ref().map(|attr| &attr.name),
            self.partition_key.as_ref().map(|attr| &attr.name),
            self.partition_key_with.as_ref().map(|attr| &attr.name),
            self.explicit_hash_key_with.as_ref().map(|attr| &attr.name),
        ];
        named.into_iter().flatten().collect()
    }
}

impl VariantAttrs {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self::default();
        let mut failed = Failed::default();
        each(attributes, Target::Variant, errors, &mut failed, |name, input| {
            match name.unraw().to_string().as_str() {
                names::PARTITION_KEY => set(&mut this.partition_key, name, template(name, input)),
                names::TRANSPARENT => set_flag(&mut this.transparent, name, input),
                _ => return None,
            }
            .into()
        });
        this.failed = failed;
        this
    }
}

impl FieldAttrs {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self::default();
        let mut failed = Failed::default();
        each(attributes, Target::Field, errors, &mut failed, |name, input| {
            match name.unraw().to_string().as_str() {
                names::ELIDE => set_flag(&mut this.elide, name, input),
                names::EXPLICIT_HASH_KEY => set_flag(&mut this.explicit_hash_key, name, input),
                names::PARTITION_KEY => set_flag(&mut this.partition_key, name, input),
                names::PAYLOAD => set_flag(&mut this.payload, name, input),
                names::TAG => set(&mut this.tag, name, value(input)),
                _ => return None,
            }
            .into()
        });
        this.failed = failed;
        this
    }

    /// Returns the attributes that are present, to name those that contradict another.
    pub(crate) fn present(&self) -> Vec<&Ident> {
        let named = [
            self.elide.as_ref(),
            self.explicit_hash_key.as_ref(),
            self.partition_key.as_ref(),
            self.payload.as_ref(),
            self.tag.as_ref().map(|attr| &attr.name),
        ];
        named.into_iter().flatten().collect()
    }
}

/// Reads the items of all attributes `#[kpl(...)]`. After a mistake it continues with the next item. `item` reads the
/// value of an item if it knows the name.
fn each(
    attributes: &[Attribute],
    target: Target,
    errors: &mut Errors,
    failed: &mut Failed,
    mut item: impl FnMut(&Ident, ParseStream<'_>) -> Option<syn::Result<()>>,
) {
    for attribute in attributes {
        if !attribute.path().is_ident(names::ATTRIBUTE) {
            continue;
        }
        let parsed = attribute.parse_args_with(|input: ParseStream<'_>| {
            while !input.is_empty() {
                if let Err(error) = one(input, target, failed, &mut item) {
                    errors.push(error);
                    skip_item(input)?;
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        });
        errors.take(parsed);
    }
}

fn one(
    input: ParseStream<'_>,
    target: Target,
    failed: &mut Failed,
    item: &mut impl FnMut(&Ident, ParseStream<'_>) -> Option<syn::Result<()>>,
) -> syn::Result<()> {
    let name = input.call(Ident::parse_any)?;
    let result = match item(&name, input) {
        Some(Ok(())) if input.is_empty() || input.peek(Token![,]) => return Ok(()),
        Some(Ok(())) => Err(input.error("expected `,`")),
        Some(Err(error)) => Err(error),
        None => {
            let unknown = Unknown::new(&name.to_string(), target);
            failed.0.extend(unknown.meant.map(String::from));
            Err(syn::Error::new_spanned(&name, unknown))
        }
    };
    failed.0.push(name.unraw().to_string());
    result
}

fn skip_item(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

fn set<T>(slot: &mut Option<Named<T>>, name: &Ident, value: syn::Result<T>) -> syn::Result<()> {
    let value = value?;
    if slot.is_some() {
        return Err(duplicate(name));
    }
    *slot = Some(Named {
        name: name.clone(),
        value,
    });
    Ok(())
}

fn set_flag(slot: &mut Option<Ident>, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
    if input.peek(Token![=]) {
        let equals: Token![=] = input.parse()?;
        let value: TokenStream = input.parse::<TokenTree>()?.into();
        let message = match *name == names::PARTITION_KEY {
            true => "on a field, `partition_key` takes no value: the field is the key; a template belongs on the type or the variant".into(),
            false => format!("`{name}` takes no value"),
        };
        return Err(syn::Error::new_spanned(Together(equals, value), message));
    }
    if slot.is_some() {
        return Err(duplicate(name));
    }
    *slot = Some(name.clone());
    Ok(())
}

fn duplicate(name: &Ident) -> syn::Error {
    syn::Error::new_spanned(name, format_args!("duplicate attribute `{name}`"))
}

fn value<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// Reads a type or path, with or without quotation marks.
fn maybe_quoted<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    match input.peek(LitStr) {
        true => input.parse::<LitStr>()?.parse(),
        false => input.parse(),
    }
}

/// Reads a path if there is one.
fn optional_path(input: ParseStream<'_>) -> syn::Result<Option<ExprPath>> {
    input.peek(Token![=]).then(|| maybe_quoted(input)).transpose()
}

fn root(input: ParseStream<'_>) -> syn::Result<Path> {
    input.parse::<Token![=]>()?;
    match input.peek(LitStr) {
        true => input.parse::<LitStr>()?.parse_with(Path::parse_mod_style),
        false => input.call(Path::parse_mod_style),
    }
}

fn predicates(input: ParseStream<'_>) -> syn::Result<Punctuated<WherePredicate, Token![,]>> {
    value::<LitStr>(input)?.parse_with(Punctuated::parse_terminated)
}

fn template(name: &Ident, input: ParseStream<'_>) -> syn::Result<LitStr> {
    if !input.peek(Token![=]) {
        let message = "`partition_key` needs a template here, as in `partition_key = \"{tenant}/{user}\"`; \
                       without a value it belongs on the field that is the key";
        return Err(syn::Error::new_spanned(name, message));
    }
    value(input)
}

/// Two pieces of tokens that an error underlines together.
struct Together<A, B>(A, B);

impl<A: ToTokens, B: ToTokens> ToTokens for Together<A, B> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
        self.1.to_tokens(tokens);
    }
}
