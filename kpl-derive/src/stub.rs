//! Impls for a type that has a mistake, so that the mistake is not followed by complaints about missing impls.

use proc_macro2::TokenStream;
use quote::quote;

use crate::generics::{lifetime, this_type, with_outliving};
use crate::parse::Container;
use crate::validate::root;
use crate::{Derive, expand};

pub(crate) fn stub(container: &Container<'_>) -> TokenStream {
    let input = container.input;
    let this = this_type(input);
    let (impl_generics, _, where_clause) = input.generics.split_for_impl();
    let lifetime = lifetime();
    let reading = with_outliving(&input.generics, &lifetime);
    let (read_generics, _, _) = reading.split_for_impl();
    let written = (container.derive == Derive::KplRecord).then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics __kpl::KplRecord for #this #where_clause {
                fn partition_key<'__a>(
                    &'__a self,
                    _: &'__a mut __kpl::String,
                ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
                    __kpl::core::unreachable!()
                }
                fn payload<'__a>(
                    &'__a self,
                    _: &'__a mut __kpl::Vec<__kpl::u8>,
                ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
                    __kpl::core::unreachable!()
                }
            }
        }
    });
    expand::in_const(
        &root(&container.attrs),
        &quote! {
            #written
            #[automatically_derived]
            impl #read_generics __kpl::FromKplRecord<#lifetime> for #this #where_clause {
                fn from_user_record(_: &__kpl::UserRecord<#lifetime>) -> __kpl::Result<Self, __kpl::ReadError> {
                    __kpl::core::unreachable!()
                }
            }
        },
    )
}
