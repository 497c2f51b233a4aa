//! The derive macro of [kpl](https://docs.rs/kpl).

mod attr;
mod elide;
mod errors;
mod expand;
mod generics;
mod model;
mod names;
mod parse;
mod serde_attr;
mod stub;
mod template;
mod validate;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

/// Makes a type a record of a Kinesis stream.
#[proc_macro_derive(KplRecord, attributes(kpl, serde))]
pub fn derive_kpl_record(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(input.into()).into()
}

fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = errors::Errors::default();
    let container = parse::Container::parse(&input, &mut errors);
    let record = validate::validate(&container, &mut errors);
    match (record, errors.into_compile_errors()) {
        (Some(record), None) => expand::expand(&record),
        (_, mistakes) => {
            let stub = stub::stub(&input, &validate::root(&container.attrs));
            quote!(#mistakes #stub)
        }
    }
}
