//! docs/features.md names tests; each of them exists.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of each package of the workspace.
fn packages() -> Vec<(String, PathBuf)> {
    let mut packages = Vec::new();
    for folder in ["event-core", "event-derive", "event-sea-orm"] {
        packages.push((folder.to_owned(), root().join(folder)));
    }
    for parent in ["examples", "tests"] {
        for entry in std::fs::read_dir(root().join(parent)).unwrap() {
            let folder = entry.unwrap().path();
            if let Ok(manifest) = std::fs::read_to_string(folder.join("Cargo.toml")) {
                let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap();
                packages.push((name.trim_end_matches('"').to_owned(), folder));
            }
        }
    }
    packages
}

/// Where a test's module may be: below `tests/` for integration tests, below `src/` for unit tests.
fn sources(folder: &Path, modules: &[&str]) -> Vec<PathBuf> {
    let modules: Vec<_> = modules.iter().copied().filter(|module| *module != "tests").collect();
    let path = modules.join("/");
    let mut found = Vec::new();
    for base in ["tests", "src"] {
        for file in
            [format!("{path}.rs"), format!("{path}/mod.rs"), format!("{path}/main.rs"), format!("{path}/tests.rs")]
        {
            found.push(folder.join(base).join(file));
        }
    }
    found
}

/// Whether the source has a test of that name: a function that is marked as one, or is listed for every database.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let function = [format!("fn {name}("), format!("async fn {name}(")];
    let Some(at) = lines.iter().position(|line| function.iter().any(|start| line.starts_with(start.as_str()))) else {
        return false;
    };
    let marked = lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with('#') || line.starts_with("//"))
        .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
    let lists = ["on_every_database! {", "on_every_empty_database! {"];
    let mut listed = lines.iter().skip_while(|line| !lists.contains(line)).take_while(|line| **line != "}");
    marked || listed.any(|line| *line == name)
}

fn problem(test: &str, packages: &[(String, PathBuf)]) -> Option<String> {
    let parts: Vec<_> = test.split("::").collect();
    let [package, modules @ .., name] = &parts[..] else { return Some(format!("{test}: no test's path")) };
    let Some((_, folder)) = packages.iter().find(|(known, _)| known == package) else {
        return Some(format!("{test}: no package `{package}`"));
    };
    let files: Vec<_> = sources(folder, modules).into_iter().filter(|file| file.exists()).collect();
    if files.is_empty() {
        return Some(format!("{test}: no file for `{}`", modules.join("::")));
    }
    let found = files.iter().any(|file| has_test(&std::fs::read_to_string(file).unwrap(), name));
    (!found).then(|| format!("{test}: no test `{name}` in {files:?}"))
}

#[test]
fn every_test_that_is_named_exists() {
    let packages = packages();
    let features = std::fs::read_to_string(root().join("docs/features.md")).unwrap();
    // What stands in back-ticks and looks like `package::path::name` is a test.
    let looks_like_one = |text: &&str| {
        text.split("::").count() > 2 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-:".contains(c))
    };
    let named: Vec<_> = features.split('`').skip(1).step_by(2).filter(looks_like_one).collect();
    assert!(named.len() > 40, "only {} tests are named", named.len());
    let problems: Vec<_> = named.iter().filter_map(|test| problem(test, &packages)).collect();
    assert!(problems.is_empty(), "docs/features.md names tests that are not there:\n{}", problems.join("\n"));
}

#[test]
fn every_row_of_the_pattern_is_named_once() {
    let features = std::fs::read_to_string(root().join("docs/features.md")).unwrap();
    let rows: Vec<_> =
        features.lines().filter_map(|line| line.strip_prefix("| P")?.split_once(' ')).map(|row| row.0).collect();
    let numbers: Vec<u32> = rows.iter().map(|row| row.parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn a_test_that_is_not_there_is_found_out() {
    let packages = packages();
    for test in
        ["behaviour::dispatch::never_written", "behaviour::nowhere::x", "nobody::x::y", "behaviour::dispatch::comment"]
    {
        assert!(problem(test, &packages).is_some(), "{test}");
    }
}
