//! Impls for a type that has a mistake, so that the mistake is not followed by complaints about missing impls.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Path};

use crate::expand;
use crate::generics::{lifetime, with_outliving};

pub(crate) fn stub(input: &DeriveInput, root: &Path) -> TokenStream {
    let ident = &input.ident;
    let (impl_generics, arguments, where_clause) = input.generics.split_for_impl();
    let lifetime = lifetime();
    let reading = with_outliving(&input.generics, &lifetime);
    let (read_generics, _, _) = reading.split_for_impl();
    expand::in_const(
        root,
        &quote! {
            #[automatically_derived]
            impl #impl_generics __kpl::KplRecord for #ident #arguments #where_clause {
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
            #[automatically_derived]
            impl #read_generics __kpl::FromKplRecord<#lifetime> for #ident #arguments #where_clause {
                fn from_user_record(_: &__kpl::UserRecord<'_, #lifetime>) -> __kpl::Result<Self, __kpl::ReadError> {
                    __kpl::core::unreachable!()
                }
            }
        },
    )
}
