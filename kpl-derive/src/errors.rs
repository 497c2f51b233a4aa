use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Every mistake of a type, so that all of them are reported in one compile.
///
/// They must end in [`Errors::into_compile_errors`]: to drop them without it is a panic, so that no mistake is lost.
#[derive(Default)]
pub(crate) struct Errors {
    mistakes: Option<syn::Error>,
    reported: bool,
}

impl Errors {
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.mistakes {
            Some(all) => all.combine(error),
            None => self.mistakes = Some(error),
        }
    }

    /// Adds a mistake at these tokens of the user's.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Returns the value, or adds the mistake.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Returns all mistakes for the compiler, if there are any.
    pub(crate) fn into_compile_errors(mut self) -> Option<TokenStream> {
        self.reported = true;
        self.mistakes.take().map(syn::Error::into_compile_error)
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        assert!(self.reported || std::thread::panicking(), "mistakes were not reported");
    }
}

#[cfg(test)]
mod tests {
    use super::Errors;

    #[test]
    fn all_mistakes_are_reported() {
        let mut errors = Errors::default();
        errors.at(quote::quote!(a), "first");
        errors.at(quote::quote!(b), "second");
        let reported = errors.into_compile_errors().map(|tokens| tokens.to_string());
        assert!(reported.is_some_and(|tokens| tokens.contains("first") && tokens.contains("second")));
        assert!(Errors::default().into_compile_errors().is_none());
    }

    #[test]
    #[should_panic(expected = "mistakes were not reported")]
    fn mistakes_cannot_be_dropped() {
        drop(Errors::default());
    }
}
