//! Golden tests: what the derive makes of the types in `tests/expand/`. `BLESS=1` writes the expectations anew. And
//! what it says about the mistakes in `tests/ui/` of the workspace, whose places are for the compiler to show.

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand")
}

fn check(input: &Path) -> Result {
    let source = std::fs::read_to_string(input)?;
    let output = crate::derive(source.parse()?);
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

/// The texts of all `compile_error!` in an expansion.
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

/// What the derive says about the types of a file.
fn mistakes(source: &str) -> Result<Vec<String>> {
    let mut mistakes = Vec::new();
    for item in syn::parse_file(source)?.items {
        if let syn::Item::Struct(syn::ItemStruct { attrs, .. })
        | syn::Item::Enum(syn::ItemEnum { attrs, .. })
        | syn::Item::Union(syn::ItemUnion { attrs, .. }) = &item
            && attrs
                .iter()
                .any(|attr| attr.to_token_stream().to_string().contains("KplRecord"))
        {
            mistakes.extend(messages(crate::derive(item.into_token_stream()))?);
        }
    }
    Ok(mistakes)
}

#[test]
fn mistakes_are_told_as_in_the_ui_tests() -> Result {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ui");
    if !Path::new(env!("CARGO_MANIFEST_DIR")).join("../kpl-core").exists() {
        // The crate as it is published has no workspace around it.
        return Ok(());
    }
    let mut checked = 0;
    for theme in std::fs::read_dir(ui)? {
        let theme = theme?.path();
        // There the compiler speaks, not the derive.
        if theme.ends_with("rustc") {
            continue;
        }
        for entry in std::fs::read_dir(theme)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let told = mistakes(&std::fs::read_to_string(&path)?)?;
                let expected = std::fs::read_to_string(path.with_extension("stderr"))?;
                let expected: Vec<&str> = expected
                    .lines()
                    .filter_map(|line| line.strip_prefix("error: "))
                    .collect();
                assert_eq!(told, expected, "{}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 0);
    Ok(())
}
