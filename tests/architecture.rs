//! The dependency rule of the crate's documentation, read off the `use` lines: who may know whom.

#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each module of the crate and the modules it may name; none may name the binary.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("allocator", &[]),
    ("cluster", &["errors"]),
    ("duration", &[]),
    ("errors", &[]),
    ("fetch", &["cluster", "core", "errors", "mapping", "registry"]),
    ("fingerprint", &[]),
    ("mapping", &["core", "duration"]),
    ("paste", &["core"]),
    ("pki", &[]),
    ("pods", &["core", "paste"]),
    ("http", &[]),
    ("privacy", &[]),
    ("shutdown", &[]),
    ("supervise", &[]),
    ("telemetry", &["supervise"]),
    (
        "webhook",
        &[
            "cluster",
            "core",
            "errors",
            "fingerprint",
            "http",
            "mapping",
            "pki",
            "reports",
            "shutdown",
            "supervise",
        ],
    ),
    (
        "controller",
        &[
            "cluster",
            "core",
            "errors",
            "fetch",
            "fingerprint",
            "http",
            "mapping",
            "paste",
            "pki",
            "pods",
            "registry",
            "reports",
            "shutdown",
            "supervise",
        ],
    ),
    ("registry", &["core", "errors"]),
    ("reports", &["core"]),
    (
        "commands",
        &[
            "cluster",
            "core",
            "errors",
            "fetch",
            "fingerprint",
            "mapping",
            "paste",
            "pki",
            "pods",
            "registry",
            "reports",
        ],
    ),
    ("cli", &["cluster", "commands", "controller", "duration", "http", "telemetry", "webhook"]),
];

/// The crates that the core is built on: none of them has a runtime, a clock or a socket.
const CORE_DEPENDENCIES: [&str; 8] =
    ["base64", "hmac", "json-patch", "serde", "serde_json", "sha2", "thiserror", "zeroize"];

/// The parts of the standard library that reach outside of the process. The crate boundary cannot keep these out.
const IMPURE: [&str; 7] = ["env", "fs", "io", "net", "process", "thread", "time"];

/// The longest file we want to read.
const LONGEST_FILE: usize = 400;

struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

#[test]
fn modules_know_only_whom_they_may() {
    let mut checked = 0;
    for source in sources() {
        let Some((_, may_know)) = MAY_KNOW.iter().find(|(module, _)| *module == source.module)
        else {
            assert!(
                matches!(source.module.as_str(), "main" | "lib"),
                "{}: a module without a rule",
                source.path.display()
            );
            continue;
        };
        for known in crate_modules(&source.text) {
            assert!(
                known == source.module || may_know.contains(&known.as_str()),
                "{}: `{}` must not know `{known}`",
                source.path.display(),
                source.module,
            );
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} uses were found: is the reading broken?");
}

#[test]
fn the_core_is_built_on_nothing_impure() {
    let manifest = fs::read_to_string(repository().join("crates/core/Cargo.toml")).unwrap();
    let (_, after) = manifest.split_once("[dependencies]\n").unwrap();
    let (dependencies, _) = after.split_once("\n[").unwrap();
    let names: Vec<_> = dependencies
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split(['.', ' ', '=']).next().unwrap())
        .collect();
    assert_eq!(names, CORE_DEPENDENCIES);
}

#[test]
fn the_core_is_pure() {
    let core = sources_in("crates/core/src");
    assert!(core.len() >= 20, "the core has gone");
    for Source { path, text, .. } in core {
        let impure = impure_paths(&text);
        assert!(impure.is_empty(), "{}: the core must not know {impure:?}", path.display());
    }
}

#[test]
fn every_form_of_an_impure_path_is_seen() {
    for text in [
        "use std::fs;",
        "use std::{fmt, fs};",
        "use std::{borrow::Cow, time::Instant};",
        "use std::{\n    fmt,\n    fs as files,\n};",
        "use ::std::net::TcpStream;",
        "fn now() { std::time::Instant::now(); }",
        "extern crate std as s;",
        "use std as s;",
    ] {
        assert_eq!(impure_paths(text).len(), 1, "{text}");
    }
    let fine = "use std::{borrow::Cow, fmt, iter::{self, once}};\n// std::fs is only named here";
    assert!(impure_paths(fine).is_empty(), "{:?}", impure_paths(fine));
}

#[test]
fn only_main_knows_anyhow_and_exit_codes() {
    for Source { path, module, text } in sources() {
        if module == "main" {
            continue;
        }
        for name in ["anyhow::", "ExitCode", "process::exit"] {
            assert!(
                !code_lines(&text).any(|line| line.contains(name)),
                "{}: {name}",
                path.display()
            );
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for Source { path, text, .. } in sources().into_iter().chain(sources_in("crates/core/src")) {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", path.display());
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    sources_in("src")
}

/// Every file under `folder`, with the top-level module that it belongs to.
fn sources_in(folder: &str) -> Vec<Source> {
    let root = repository().join(folder);
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(&root).unwrap().with_extension("");
            let module =
                below.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            sources.push(Source { path, module, text });
        }
    }
    assert!(sources.len() >= 20, "only {} files were found", sources.len());
    sources
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

/// The modules that follow `crate::`, also in a braced group over several lines.
fn crate_modules(text: &str) -> Vec<String> {
    let code: String = code_lines(text).collect::<Vec<_>>().join("\n");
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => modules.push(identifier(rest)),
            Some(group) => {
                modules.extend(top_level_items(group).iter().map(|item| identifier(item)));
            }
        }
    }
    modules
}

/// The paths into [`IMPURE`] that `text` names, in a `use` with or without a group or in place, and other names for `std`
/// itself, behind which such a path could hide.
fn impure_paths(text: &str) -> Vec<String> {
    let code: String = code_lines(text).collect::<Vec<_>>().join("\n");
    let mut impure = Vec::new();
    for (at, _) in code.match_indices("std") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "std".len()..];
        if rest.starts_with(" as ") {
            impure.push(format!("std{}", rest.lines().next().unwrap_or_default()));
        }
        let Some(path) = rest.strip_prefix("::") else { continue };
        let named: Vec<String> = match path.strip_prefix('{') {
            None => vec![identifier(path)],
            Some(group) => top_level_items(group).iter().map(|item| identifier(item)).collect(),
        };
        impure.extend(named.into_iter().filter(|name| IMPURE.contains(&name.as_str())));
    }
    impure
}

fn identifier(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The items of a `use` group, up to its closing brace.
fn top_level_items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}
