//! The documents say what is true: files, functions, keys and links that they name exist, and the source cites no choice that
//! `docs/assumptions.md` does not explain.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use duia::config::Config;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All files with an ending below a folder.
fn files(below: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(ROOT).join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
            let path = entry.path();
            match path.is_dir() {
                true if path.ends_with("node_modules") => {}
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == ending) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// The documents: every one at the top and below `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| Path::new(ROOT).join(name));
    top.into_iter().chain(files("docs", "md")).map(|path| (path.clone(), read(&path))).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The numbers `A1`, `A2`, ... that a text cites.
fn choices(text: &str) -> BTreeSet<u32> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let after = text.match_indices('A').filter(|(at, _)| !text[..*at].ends_with(is_word)).map(|(at, _)| &text[at + 1..]);
    let number = |rest: &str| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let ends = !rest[digits.len()..].starts_with(is_word);
        digits.parse().ok().filter(|_| ends && digits.len() <= 2)
    };
    after.filter_map(number).collect()
}

/// The headings `### A5 ...` of docs/assumptions.md, each with its text.
fn explained() -> Vec<(u32, String)> {
    let text = read(&Path::new(ROOT).join("docs/assumptions.md"));
    let sections = text.split("\n### A").skip(1);
    sections
        .map(|section| {
            let (number, rest) = section.split_once(' ').expect("a heading has words");
            (number.parse().expect("a heading has a number"), rest.split("\n## ").next().unwrap_or_default().to_string())
        })
        .collect()
}

#[test]
fn files_that_documents_name_exist() {
    let folders = ["src/", "tests/", "docs/", "examples/", "benches/", "web/", "assets/"];
    let mut checked = 0;
    for (document, text) in documents() {
        for name in quoted(&text).into_iter().filter(|name| folders.iter().any(|folder| name.starts_with(folder))) {
            // `src/model` and `tests/page` are folders; `src/kernels/…` a prefix.
            if name.contains(['*', '…', ' ']) {
                continue;
            }
            assert!(Path::new(ROOT).join(name).exists(), "{} names `{name}`, which does not exist", document.display());
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} names of files found");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut checked = 0;
    for (document, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let link = link.split('#').next().unwrap_or_default();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            let target = document.parent().expect("a document is in a folder").join(link);
            assert!(target.exists(), "{} links to {link}, which does not exist", document.display());
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} links found");
}

#[test]
fn every_choice_that_is_cited_is_explained() {
    let explained = explained();
    let numbers: BTreeSet<u32> = explained.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), explained.len(), "a number stands twice");
    let cited = |below: &str| {
        let own = Path::new(ROOT).join("tests/docs.rs");
        files(below, "rs").into_iter().filter(move |path| *path != own).map(|path| (path.clone(), read(&path)))
    };
    let sources = ["src", "web", "tests", "benches"].into_iter().flat_map(cited);
    for (path, text) in sources.chain(documents()) {
        let comments: String = match path.extension().is_some_and(|extension| extension == "rs") {
            true => text.lines().filter(|line| line.contains("//")).collect::<Vec<_>>().join("\n"),
            false => text,
        };
        for number in choices(&comments) {
            assert!(numbers.contains(&number), "{} cites A{number}, which docs/assumptions.md does not explain", path.display());
        }
    }
}

#[test]
fn every_choice_says_what_where_and_by_which_key() {
    let config = serde_json::to_value(Config::default()).unwrap();
    for (number, text) in explained() {
        let part = |name: &str| {
            let rest = text.split(&format!("\n- {name}: ")).nth(1);
            rest.and_then(|rest| rest.split("\n- ").next()).unwrap_or_else(|| panic!("A{number} has no line `{name}`"))
        };
        ["Paper", "Here", "Why"].into_iter().for_each(|name| assert!(!part(name).trim().is_empty()));
        assert!(quoted(part("Where")).iter().any(|name| name.starts_with("src/")), "A{number} names no file");
        for named in quoted(part("Instead")) {
            let key = named.split('=').next().unwrap_or_default();
            assert!(config.get(key).is_some(), "A{number} names the key `{key}`, which is none of the configuration's");
        }
    }
}

#[test]
fn functions_that_the_equations_name_exist() {
    let text = read(&Path::new(ROOT).join("docs/equations.md"));
    let mut checked = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && line.contains("`src/")) {
        let names = quoted(row);
        let (paths, functions): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| name.starts_with("src/"));
        let all: String = paths.iter().map(|path| read(&Path::new(ROOT).join(path))).collect();
        for function in functions.into_iter().filter(|name| !name.contains(' ')) {
            let last = function.rsplit("::").next().unwrap_or(function);
            let there = [format!("fn {last}("), format!("fn {last}<"), format!("struct {last}")].iter().any(|there| all.contains(there));
            assert!(there, "docs/equations.md: `{function}` is in none of {paths:?}");
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} functions found");
}

/// The reader of a comment must be able to look up what it cites.
#[test]
fn nothing_refers_to_a_document_that_is_not_here() {
    for (path, text) in
        ["src", "web", "tests", "benches"].into_iter().flat_map(|below| files(below, "rs")).map(|path| (path.clone(), read(&path)))
    {
        if path.ends_with("tests/docs.rs") {
            continue;
        }
        for absent in ["of the design", "the design alone", "design document"] {
            assert!(!text.contains(absent), "{} refers to \"{absent}\"", path.display());
        }
    }
}
