//! Golden tests: the expansions of the types in `tests/expand/`, which `BLESS=1` writes anew, and the messages about the
//! mistakes in `tests/ui/` of the workspace, whose positions the compiler checks there.

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Attribute, DeriveInput};

use crate::Derive;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand")
}

/// Which of the derives stands on a type, if any.
fn derive_of(attributes: &[Attribute]) -> Option<Derive> {
    attributes.iter().find_map(|attribute| {
        let attribute = attribute.to_token_stream().to_string();
        match attribute.contains("FromKplRecord") {
            true => Some(Derive::FromKplRecord),
            false => attribute.contains("KplRecord").then_some(Derive::KplRecord),
        }
    })
}

fn check(input: &Path) -> Result {
    let source = std::fs::read_to_string(input)?;
    let item: DeriveInput = syn::parse_str(&source)?;
    let derive = derive_of(&item.attrs).ok_or_else(|| format!("{}: no derive", input.display()))?;
    let output = crate::derive(derive, item.into_token_stream());
    let output = prettyplease::unparse(&syn::parse2(output)?);
    let golden = input.with_extension("expanded.rs");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, output)?;
        return Ok(());
    }
    let expected = std::fs::read_to_string(&golden)?;
    assert_eq!(output, expected, "{} is not {}", input.display(), golden.display());
    Ok(())
}

#[test]
fn expansions() -> Result {
    let mut checked = 0;
    for entry in std::fs::read_dir(directory())? {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with(".expanded.rs") {
            check(&path)?;
            checked += 1;
        }
    }
    assert!(checked > 0);
    Ok(())
}

/// Returns the messages of all `compile_error!` in an expansion.
fn messages(tokens: TokenStream) -> Result<Vec<String>> {
    let mut messages = Vec::new();
    let mut is_message = false;
    for token in tokens {
        match token {
            TokenTree::Ident(name) => is_message = name == "compile_error",
            TokenTree::Group(group) if is_message => {
                messages.push(syn::parse2::<syn::LitStr>(group.stream())?.value());
                is_message = false;
            }
            _ => {}
        }
    }
    Ok(messages)
}

/// Returns what the derives report about the types of a file.
fn mistakes(source: &str) -> Result<Vec<String>> {
    let mut mistakes = Vec::new();
    for item in syn::parse_file(source)?.items {
        if let syn::Item::Struct(syn::ItemStruct { attrs, .. })
        | syn::Item::Enum(syn::ItemEnum { attrs, .. })
        | syn::Item::Union(syn::ItemUnion { attrs, .. }) = &item
            && let Some(derive) = derive_of(attrs)
        {
            mistakes.extend(messages(crate::derive(derive, item.into_token_stream()))?);
        }
    }
    Ok(mistakes)
}

#[test]
fn mistakes_are_reported_as_in_the_ui_tests() -> Result {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ui");
    if !Path::new(env!("CARGO_MANIFEST_DIR")).join("../kpl-core").exists() {
        // The published crate is not inside the workspace.
        return Ok(());
    }
    let mut checked = 0;
    for theme in std::fs::read_dir(ui)? {
        let theme = theme?.path();
        // Those messages are the compiler's.
        if theme.ends_with("rustc") {
            continue;
        }
        for entry in std::fs::read_dir(theme)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let reported = mistakes(&std::fs::read_to_string(&path)?)?;
                let expected = std::fs::read_to_string(path.with_extension("stderr"))?;
                let expected: Vec<&str> = expected
                    .lines()
                    .filter_map(|line| line.strip_prefix("error: "))
                    .collect();
                assert_eq!(reported, expected, "{}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 0);
    Ok(())
}
