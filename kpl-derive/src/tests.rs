//! Golden tests: what the derive makes of the types in `tests/expand/`. `BLESS=1` writes the expectations anew.

use std::path::{Path, PathBuf};

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
