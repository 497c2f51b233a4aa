//! `impl KplRecord`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Ident, LitStr};

use super::{at, pattern, variable};
use crate::elide;
use crate::model::{Content, FieldPiece, Key, KeyPiece, Own, Payload, Record, Shape};
use crate::parse::Field;

pub(super) fn methods(record: &Record<'_>) -> TokenStream {
    match &record.content {
        Content::Transparent(field) => transparent(field),
        Content::Own(own) => {
            let partition_key = partition_key(own);
            let explicit_hash_key = explicit_hash_key(own);
            let tags = tags(own);
            let payload = payload(own);
            let always_wrapped = always_wrapped(own);
            quote!(#partition_key #explicit_hash_key #tags #payload #always_wrapped)
        }
    }
}

fn transparent(field: &Field<'_>) -> TokenStream {
    let member = &field.member;
    let ty = &field.ast.ty;
    let this = quote_spanned!(at(ty)=> <#ty as __kpl::KplRecord>);
    quote! {
        #[inline]
        fn partition_key<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            #this::partition_key(&self.#member, __buffer)
        }
        #[inline]
        fn explicit_hash_key(&self) -> __kpl::Result<__kpl::Option<__kpl::HashKey>, __kpl::KeyError> {
            #this::explicit_hash_key(&self.#member)
        }
        #[inline]
        fn tags(&self, __tags: &mut __kpl::Tags<'_>) -> __kpl::Result<(), __kpl::KeyError> {
            #this::tags(&self.#member, __tags)
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            #this::payload(&self.#member, __buffer)
        }
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            #this::always_wrapped(&self.#member)
        }
    }
}

fn path(shape: &Shape<'_>) -> TokenStream {
    match shape.variant.map(|variant| &variant.ident) {
        Some(variant) => quote!(Self::#variant),
        None => quote!(Self),
    }
}

fn partition_key(own: &Own<'_>) -> TokenStream {
    let buffer = variable("buffer");
    let functions = own.shapes.iter().find_map(|shape| match &shape.key {
        Key::Function(function) => Some(function),
        Key::Field(_) | Key::Template(..) | Key::Inner(_) | Key::None => None,
    });
    let body = match functions {
        Some(function) => {
            let key = format_ident!("__key", span = Span::mixed_site().located_at(function.span()));
            let returned = quote_spanned!(at(function)=> #function(self));
            quote! {
                use __kpl::{ViaPlain as _, ViaResult as _};
                let #key = #returned;
                (&__kpl::Probe::of(&#key)).returned_kind().write(#key, #buffer)
            }
        }
        None => {
            let arms = own.shapes.iter().map(|shape| {
                let (fields, value) = key(&shape.key, &buffer);
                let pattern = pattern(&path(shape), &fields);
                quote!(#pattern => #value,)
            });
            quote! {
                match self {
                    #(#arms)*
                }
            }
        }
    };
    let imports = own
        .shapes
        .iter()
        .any(|shape| matches!(shape.key, Key::Field(_) | Key::Template(..)))
        .then(|| {
            quote!(
                use __kpl::{ViaAsRef as _, ViaDisplay as _, ViaOption as _, ViaOther as _, ViaText as _};
            )
        });
    quote! {
        #[inline]
        fn partition_key<'__a>(
            &'__a self,
            #buffer: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            #imports
            #body
        }
    }
}

/// Returns the fields that make up a key, and the expression for it.
fn key<'a>(key: &'a Key<'a>, buffer: &Ident) -> (Vec<&'a Field<'a>>, TokenStream) {
    match key {
        Key::Field(field) => {
            let binding = &field.binding;
            let kind = key_kind(&quote!(#binding));
            (vec![field], quote!(#kind.key(#binding, #buffer)))
        }
        Key::Inner(field) => {
            let (inner, binding) = (inner(field), &field.binding);
            (vec![field], quote!(#inner::partition_key(#binding, #buffer)))
        }
        Key::Template(literal, pieces) => template(literal, pieces, buffer),
        Key::Function(_) | Key::None => (Vec::new(), TokenStream::new()),
    }
}

/// Returns what can make a key of this reference.
fn key_kind(reference: &TokenStream) -> TokenStream {
    quote!((&&&&__kpl::Probe::of(#reference)).key_kind())
}

/// Returns the trait of the field of a transparent variant.
fn inner(field: &Field<'_>) -> TokenStream {
    let ty = &field.ast.ty;
    quote_spanned!(at(ty)=> <#ty as __kpl::KplRecord>)
}

fn template<'a>(literal: &LitStr, pieces: &'a [KeyPiece<'a>], buffer: &Ident) -> (Vec<&'a Field<'a>>, TokenStream) {
    if let [KeyPiece::Text(text)] = pieces {
        let key = LitStr::new(text, literal.span());
        return (Vec::new(), quote!(__kpl::Ok(#key)));
    }
    let mut format = String::new();
    let mut fields: Vec<&Field<'_>> = Vec::new();
    let mut values = Vec::new();
    for piece in pieces {
        match piece {
            KeyPiece::Text(text) => format += &text.replace('{', "{{").replace('}', "}}"),
            KeyPiece::Field(FieldPiece { field, path, spec }) => {
                format += &match spec.as_str() {
                    "" => "{}".into(),
                    spec => format!("{{:{spec}}}"),
                };
                let binding = &field.binding;
                let reference = match path.as_slice() {
                    [] => quote!(#binding),
                    path => quote_spanned!(at(literal)=> &#binding #(.#path)*),
                };
                values.push(match formatting_trait(spec) {
                    // If the field does not exist, a probe of its type would be a second error.
                    "Display" if !path.is_empty() => quote!(__kpl::DisplayKind.part(#reference)),
                    "Display" => {
                        let kind = key_kind(&reference);
                        quote!(#kind.part(#reference))
                    }
                    // The address that the field holds, not the address of the field.
                    "Pointer" => quote!(*#reference),
                    _ => reference,
                });
                if !fields.iter().any(|other| std::ptr::eq(*other, *field)) {
                    fields.push(field);
                }
            }
        }
    }
    let format = LitStr::new(&format, literal.span());
    let key = quote!(__kpl::write_key(#buffer, __kpl::core::format_args!(#format, #(#values),*)));
    (fields, key)
}

/// Returns the trait in `core::fmt` that a format specification asks for.
pub(super) fn formatting_trait(spec: &str) -> &'static str {
    match spec.trim_end().chars().last() {
        Some('?') => "Debug",
        Some('x') => "LowerHex",
        Some('X') => "UpperHex",
        Some('o') => "Octal",
        Some('b') => "Binary",
        Some('e') => "LowerExp",
        Some('E') => "UpperExp",
        Some('p') => "Pointer",
        _ => "Display",
    }
}

fn explicit_hash_key(own: &Own<'_>) -> TokenStream {
    let body = if let Some(function) = own.explicit_hash_key_with {
        let key = quote_spanned!(at(function)=> &#function(self));
        quote!(__kpl::Ok(__kpl::hash_key(#key)))
    } else if (own.shapes.iter()).any(|shape| shape.explicit_hash_key.is_some() || matches!(shape.key, Key::Inner(_))) {
        let arms = own.shapes.iter().map(|shape| {
            let path = path(shape);
            match (shape.explicit_hash_key, &shape.key) {
                (_, Key::Inner(field)) => {
                    let (pattern, inner, binding) = (pattern(&path, &[field]), inner(field), &field.binding);
                    quote!(#pattern => #inner::explicit_hash_key(#binding)?,)
                }
                (Some(field), _) => {
                    let pattern = pattern(&path, &[field]);
                    let binding = &field.binding;
                    quote!(#pattern => __kpl::hash_key(#binding),)
                }
                (None, _) => quote!(#path { .. } => __kpl::None,),
            }
        });
        quote! {
            __kpl::Ok(match self {
                #(#arms)*
            })
        }
    } else {
        return TokenStream::new();
    };
    quote! {
        #[inline]
        fn explicit_hash_key(&self) -> __kpl::Result<__kpl::Option<__kpl::HashKey>, __kpl::KeyError> {
            #body
        }
    }
}

fn tags(own: &Own<'_>) -> TokenStream {
    let has_tags = |shape: &Shape<'_>| !shape.tags.is_empty() || matches!(shape.key, Key::Inner(_));
    if !own.shapes.iter().any(has_tags) {
        return TokenStream::new();
    }
    let tags = variable("tags");
    let arms = own.shapes.iter().map(|shape| {
        if let Key::Inner(field) = shape.key {
            let (pattern, inner, binding) = (pattern(&path(shape), &[field]), inner(field), &field.binding);
            return quote!(#pattern => #inner::tags(#binding, #tags)?,);
        }
        let fields: Vec<_> = shape.tags.iter().map(|tag| tag.field).collect();
        let pattern = pattern(&path(shape), &fields);
        let pushes = shape.tags.iter().map(|tag| {
            let (name, binding) = (tag.name, &tag.field.binding);
            quote!((&__kpl::Probe::of(#binding)).tag_kind().push(#binding, #name, #tags)?;)
        });
        quote!(#pattern => { #(#pushes)* })
    });
    quote! {
        fn tags(&self, #tags: &mut __kpl::Tags<'_>) -> __kpl::Result<(), __kpl::KeyError> {
            use __kpl::{ViaOptionTag as _, ViaTag as _};
            match self {
                #(#arms)*
            }
            __kpl::Ok(())
        }
    }
}

fn payload(own: &Own<'_>) -> TokenStream {
    let buffer = variable("buffer");
    let body = match own.payload {
        Payload::Codec(codec) => {
            let encode = quote_spanned!(at(codec)=> <#codec as __kpl::Encode<Self>>::encode);
            quote! {
                #encode(self, #buffer)?;
                __kpl::Ok(#buffer)
            }
        }
        Payload::Elided(codec) => {
            let written = elide::written(&quote!(self));
            let encode = quote_spanned!(at(codec)=> __kpl::encode_elided::<#codec, _>);
            quote! {
                #encode(&#written, #buffer)?;
                __kpl::Ok(#buffer)
            }
        }
        Payload::Field(field) => {
            let pattern = pattern(&quote!(Self), &[field]);
            let binding = &field.binding;
            quote! {
                let #pattern = self;
                __kpl::Ok(__kpl::raw_payload(#binding))
            }
        }
    };
    quote! {
        #[inline]
        fn payload<'__a>(
            &'__a self,
            #buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            #body
        }
    }
}

/// A lone record that travels raw would lose its explicit hash key, and perhaps its partition key, which not every stream
/// returns to its readers.
fn always_wrapped(own: &Own<'_>) -> TokenStream {
    let body = match own.payload {
        Payload::Codec(_) | Payload::Elided(_) if own.shapes.iter().any(|shape| matches!(shape.key, Key::Inner(_))) => {
            let arms = own.shapes.iter().map(|shape| match shape.key {
                Key::Inner(field) => {
                    let (pattern, inner, binding) = (pattern(&path(shape), &[field]), inner(field), &field.binding);
                    quote!(#pattern => #inner::always_wrapped(#binding),)
                }
                _ => {
                    let (path, elides) = (
                        path(shape),
                        shape.fields.iter().any(|field| field.attrs.elide.is_some()),
                    );
                    quote!(#path { .. } => #elides,)
                }
            });
            quote! {
                match self {
                    #(#arms)*
                }
            }
        }
        Payload::Codec(_) => return TokenStream::new(),
        Payload::Elided(_) => {
            let elides = |shape: &&Shape<'_>| shape.fields.iter().any(|field| field.attrs.elide.is_some());
            let eliding: Vec<_> = own.shapes.iter().filter(elides).map(path).collect();
            match eliding.len() == own.shapes.len() {
                true => quote!(true),
                false => quote!(__kpl::core::matches!(self, #(#eliding { .. })|*)),
            }
        }
        Payload::Field(_) if own.shapes.iter().any(|shape| matches!(shape.key, Key::Field(_))) => quote!(true),
        Payload::Field(_) => {
            let Some(field) = own.shapes.iter().find_map(|shape| shape.explicit_hash_key) else {
                return TokenStream::new();
            };
            let pattern = pattern(&quote!(Self), &[field]);
            let binding = &field.binding;
            quote! {
                let #pattern = self;
                __kpl::hash_key(#binding).is_some()
            }
        }
    };
    quote! {
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            #body
        }
    }
}
