//! `impl FromKplRecord`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::{at, variable};
use crate::elide;
use crate::generics::lifetime;
use crate::model::{Content, Own, Payload, Record, Shape};
use crate::parse::Field;

pub(super) fn items(record: &Record<'_>) -> TokenStream {
    let lifetime = lifetime();
    let source = variable("record");
    let (constant, body) = match &record.content {
        Content::Transparent(field) => {
            let (member, ty) = (&field.member, &field.ast.ty);
            let this = quote_spanned!(at(ty)=> <#ty as __kpl::FromKplRecord<'_>>);
            (
                quote!(const MALFORMED: __kpl::MalformedPolicy = #this::MALFORMED;),
                quote!(__kpl::Ok(Self { #member: #this::from_user_record(#source)? })),
            )
        }
        Content::Own(own) => {
            let body = match own.payload {
                Payload::Codec(codec) => {
                    let decode = quote_spanned!(at(codec)=> <#codec as __kpl::Decode<'_, Self>>::decode);
                    quote!(#decode(#source.data).map_err(__kpl::ReadError::Payload))
                }
                Payload::Elided(codec) => {
                    let read = variable("read");
                    let ty = elide::read_type(record);
                    let decode = quote_spanned!(at(codec)=> __kpl::decode_elided::<#codec, _>);
                    let arms = own.shapes.iter().map(|shape| elided(shape, &source));
                    quote! {
                        use __kpl::{ViaBorrow as _, ViaParse as _};
                        let #read: #ty = #decode(#source.data)?;
                        __kpl::Ok(match #read {
                            #(#arms)*
                        })
                    }
                }
                Payload::Field(payload) => payload_field(own, payload, &source),
            };
            (TokenStream::new(), body)
        }
    };
    quote! {
        #constant
        #[inline]
        fn from_user_record(
            #source: &__kpl::UserRecord<#lifetime>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            #body
        }
    }
}

/// Returns a match arm that moves the fields that were read into the type, and restores the elided one.
fn elided(shape: &Shape<'_>, source: &syn::Ident) -> TokenStream {
    let read = elide::read_path(shape);
    let this = match shape.variant.map(|variant| &variant.ident) {
        Some(variant) => quote!(Self::#variant),
        None => quote!(Self),
    };
    let patterns = shape.fields.iter().map(|field| {
        let (member, binding) = (&field.member, &field.binding);
        match field.attrs.elide {
            Some(_) => quote!(#member: _),
            None => quote!(#member: #binding),
        }
    });
    let values = shape.fields.iter().map(|field| {
        let (member, binding) = (&field.member, &field.binding);
        match field.attrs.elide {
            Some(_) => {
                let value = from_key(field, source);
                quote!(#member: #value)
            }
            None => quote!(#member: #binding),
        }
    });
    quote!(#read { #(#patterns),* } => #this { #(#values),* },)
}

fn from_key(field: &Field<'_>, source: &syn::Ident) -> TokenStream {
    let (ty, name) = (&field.ast.ty, field.name());
    quote_spanned! {at(ty)=>
        (&__kpl::Probe::<#ty>::new()).restore_kind().restore::<#ty>(#name, #source.partition_key)?
    }
}

fn payload_field(own: &Own<'_>, payload: &Field<'_>, source: &syn::Ident) -> TokenStream {
    let fields = own.shapes.iter().flat_map(|shape| shape.fields).map(|field| {
        let (member, ty, name) = (&field.member, &field.ast.ty, field.name());
        let attrs = &field.attrs;
        let value = if std::ptr::eq(field, payload) {
            quote_spanned!(at(ty)=> __kpl::restore_payload::<#ty>(#source.data)?)
        } else if attrs.partition_key.is_some() {
            from_key(field, source)
        } else if attrs.explicit_hash_key.is_some() {
            quote_spanned!(at(ty)=> __kpl::restore_hash_key::<#ty>(#name, #source.explicit_hash_key)?)
        } else {
            let tag = attrs.tag.as_ref().map(|tag| &tag.value);
            quote_spanned! {at(ty)=>
                (&__kpl::Probe::<#ty>::new()).tag_kind().restore(#name, #tag, #source)?
            }
        };
        quote!(#member: #value)
    });
    quote! {
        use __kpl::{ViaBorrow as _, ViaOptionTag as _, ViaParse as _, ViaTag as _};
        __kpl::Ok(Self { #(#fields),* })
    }
}
