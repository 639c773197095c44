//! The dependency rule of the crate's documentation, read off the `use` lines: who may know whom.

#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each module of the crate and the modules it may name; none may name the binary.
const MAY_KNOW: [(&str, &[&str]); 9] = [
    ("core", &[]),
    ("mapping", &["core"]),
    ("metrics", &["core"]),
    ("shutdown", &[]),
    ("telemetry", &[]),
    ("server", &["core", "mapping", "metrics", "shutdown"]),
    ("controller", &["core", "metrics", "server", "shutdown"]),
    ("commands", &["core", "mapping"]),
    ("cli", &["commands", "controller", "server", "telemetry"]),
];

/// What the core must not know: it is pure, and compiles without any framework.
const IMPURE: [&str; 14] = [
    "axum",
    "hyper",
    "kube",
    "k8s_openapi",
    "tokio",
    "tracing",
    "rustls",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time",
];

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
fn the_core_is_pure() {
    let core: Vec<Source> =
        sources().into_iter().filter(|source| source.module == "core").collect();
    assert!(core.len() >= 5, "the core has gone");
    for Source { path, text, .. } in core {
        for name in IMPURE {
            let group = name.replace("std::", "std::{");
            let named = code_lines(&text).any(|line| {
                line.contains(&format!("{name}::"))
                    || line.contains(&format!("use {name};"))
                    || (name.starts_with("std::")
                        && line.starts_with("use ")
                        && line.contains(&group))
            });
            assert!(!named, "{}: the core must not know {name}", path.display());
        }
    }
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
    for Source { path, text, .. } in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", path.display());
    }
}

/// Every file under `src`, with the top-level module that it belongs to.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
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
