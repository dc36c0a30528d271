//! No circle between modules, and no arrow that ARCHITECTURE.md does not draw.
//!
//! A file and the folder of its name are one module to those beside them: a parent and its children may use each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A module by its place: `src/model/ranker.rs` is `["model", "ranker"]`, whatever the root.
type Module = Vec<String>;

/// The code of all modules below a folder, without comments and tests.
fn modules(folder: &Path, at: &[String], found: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
        let (path, name) = (entry.path(), entry.path().file_stem().unwrap().to_string_lossy().into_owned());
        let own = if ["lib", "main", "mod"].contains(&name.as_str()) { at.to_vec() } else { [at, std::slice::from_ref(&name)].concat() };
        if path.is_dir() {
            modules(&path, &own, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && name != "tests" {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = code.lines().map(|line| line.split("//").next().unwrap_or_default());
            found.entry(own).or_default().extend(code.flat_map(|line| [line, "\n"]));
        }
    }
}

/// Words, `::`, and every other sign by itself.
fn tokens(code: &str) -> Vec<&str> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
        let length = if word > 0 {
            word
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The paths that begin with one of these words, groups in braces taken apart.
fn paths(code: &str, begins: &[&str]) -> Vec<Module> {
    let (mut found, mut path, mut groups) = (Vec::new(), Module::new(), Vec::new());
    let mut joined = false;
    for token in tokens(code) {
        let is_word = token.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
        let begin = if groups.is_empty() { path.is_empty() && begins.contains(&token) } else { groups.last() == Some(&path.len()) };
        match token {
            "::" => joined = !path.is_empty(),
            "{" if joined => (joined, _) = (false, groups.push(path.len())),
            _ if is_word && (joined || begin) => (joined, _) = (false, path.push(token.to_string())),
            "," | "}" if !groups.is_empty() => {
                let from = groups.last().copied().unwrap_or_default();
                found.extend((path.len() > from).then(|| path.clone()));
                path.truncate(from);
                if token == "}" {
                    groups.pop();
                    // The group is told; what it stands in goes on before its own.
                    path.truncate(groups.last().copied().unwrap_or_default());
                }
            }
            // `as` and another name.
            _ if !groups.is_empty() => {}
            _ => {
                found.extend((!path.is_empty()).then(|| std::mem::take(&mut path)));
                (joined, path) = (false, if begins.contains(&token) { vec![token.to_string()] } else { Module::new() });
            }
        }
    }
    found
}

/// Modules, and which uses which.
struct Code {
    modules: BTreeMap<Module, String>,
    /// What a module hands on as its own, `pub use child::Name`: the child, and the path in it.
    handed_on: BTreeMap<Module, (Module, Vec<String>)>,
}

impl Code {
    fn read(root: &str) -> Self {
        let mut code = Self { modules: BTreeMap::new(), handed_on: BTreeMap::new() };
        modules(&Path::new(ROOT).join(root), &[], &mut code.modules);
        for (module, text) in &code.modules {
            let children: Vec<&str> = code
                .modules
                .keys()
                .filter(|child| child.len() == module.len() + 1 && child.starts_with(module))
                .map(|child| child[module.len()].as_str())
                .collect();
            for statement in text.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next()) {
                for path in paths(&format!("{statement};"), &children) {
                    let (name, child) = (path.last().cloned().unwrap_or_default(), [&module[..], &path[..1]].concat());
                    code.handed_on.insert([&module[..], &[name]].concat(), (child, path[1..].to_vec()));
                }
            }
        }
        code
    }

    /// The module that holds what a path of the crate names.
    fn holder(&self, path: &[String]) -> Module {
        let (mut at, mut rest) = (Module::new(), path.to_vec());
        while let Some(next) = rest.first().map(|name| [&at[..], std::slice::from_ref(name)].concat()) {
            match self.handed_on.get(&next) {
                Some((child, path)) => (at, rest) = (child.clone(), [&path[..], &rest[1..]].concat()),
                None if self.modules.contains_key(&next) => (at, rest) = (next, rest[1..].to_vec()),
                None => break,
            }
        }
        at
    }

    fn arrows(&self) -> BTreeSet<(Module, Module)> {
        let mut arrows = BTreeSet::new();
        for (module, text) in &self.modules {
            for path in paths(text, &["crate", "super", "self"]) {
                let up = path.iter().take_while(|part| *part == "super").count();
                let from = match path[0].as_str() {
                    "crate" => [].to_vec(),
                    "super" => module[..module.len() - up].to_vec(),
                    _ => module.clone(),
                };
                arrows.insert((module.clone(), self.holder(&[&from[..], &path[up.max(1)..]].concat())));
            }
        }
        arrows
    }
}

/// What is left of arrows once those are taken away that lead nowhere or come from nowhere, again and again: circles.
fn circles<T: Ord + Clone>(mut arrows: BTreeSet<(T, T)>) -> BTreeSet<(T, T)> {
    loop {
        let (users, used): (BTreeSet<T>, BTreeSet<T>) = arrows.iter().cloned().unzip();
        let before = arrows.len();
        arrows.retain(|(from, to)| used.contains(from) && users.contains(to));
        if arrows.len() == before {
            return arrows;
        }
    }
}

#[test]
fn there_is_no_circle_between_modules() {
    for root in ["src", "web/page", "web/worker"] {
        let mut beside: BTreeMap<Module, BTreeSet<(String, String)>> = BTreeMap::new();
        for (user, used) in Code::read(root).arrows() {
            let common = user.iter().zip(&used).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (user.get(common), used.get(common)) {
                beside.entry(user[..common].to_vec()).or_default().insert((a.clone(), b.clone()));
            }
        }
        for (folder, arrows) in beside {
            let circles = circles(arrows);
            assert!(circles.is_empty(), "a circle in {root}/{}: {circles:?}", folder.join("/"));
        }
    }
}

#[test]
fn the_drawing_shows_every_arrow_and_no_other() {
    let text = fs::read_to_string(Path::new(ROOT).join("ARCHITECTURE.md")).unwrap();
    let drawing = text.split("```").nth(1).expect("a drawing");
    let boxes: BTreeMap<&str, Vec<&str>> = drawing
        .lines()
        .filter_map(|line| line.trim().split_once("[\""))
        .map(|(name, label)| (name, label.split(['<', '"']).next().unwrap_or_default().split(", ").collect()))
        .collect();
    let drawn: BTreeSet<(&str, &str)> = drawing.lines().filter_map(|line| line.trim().split_once(" --> ")).collect();
    assert!(circles(drawn.clone()).is_empty(), "the drawing has a circle: {:?}", circles(drawn));
    let box_of = |module: &[String]| {
        let names: Vec<String> = (1..=module.len().min(2)).rev().map(|length| module[..length].join("::")).collect();
        names.iter().find_map(|name| boxes.iter().find(|(_, held)| held.contains(&name.as_str())).map(|(key, _)| *key))
    };
    let reaches = |user: &str, used: &str| {
        let mut reached = BTreeSet::from([user]);
        while drawn.iter().any(|(from, to)| reached.contains(from) && reached.insert(to)) {}
        reached.contains(used)
    };

    let core = Code::read("src");
    let shells = [("web/page", "web/page"), ("web/worker", "web/worker"), ("web/table", "web/table"), ("cli", "src/cli")]
        .into_iter()
        .flat_map(|(shell, root)| {
            let code = Code::read(root).modules.into_values().collect::<String>();
            let used = paths(&code, &["duia"]).into_iter().map(|path| core.holder(&path[1..]));
            used.map(move |used| (vec![shell.to_string()], used)).collect::<Vec<_>>()
        });
    let mut taken = BTreeSet::new();
    for (user, used) in core.arrows().into_iter().chain(shells).filter(|(user, used)| !user.is_empty() && !used.is_empty()) {
        let (Some(from), Some(to)) = (box_of(&user), box_of(&used)) else {
            assert!(user[0] == "model" && user[0] == used[0], "ARCHITECTURE.md draws no box for {user:?} or for {used:?}");
            continue;
        };
        assert!(reaches(from, to), "{user:?} uses {used:?}, and ARCHITECTURE.md draws no way from {from} to {to}");
        taken.insert((from, to));
    }
    let idle: Vec<_> = drawn.difference(&taken).collect();
    assert!(idle.is_empty(), "ARCHITECTURE.md draws arrows that nothing takes: {idle:?}");
}
