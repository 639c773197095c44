//! What the documents say, held against the code.

#![cfg(test)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use pullcred::{
    core::decide::Reason,
    mapping,
    metrics::{HandshakeFailure, Metrics},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below `folder` whose name ends in `ending`.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let (log, _guard) = tracing_appender::non_blocking(std::io::sink());
    let metrics = Arc::new(Metrics::new(log.error_counter()));
    for reason in Reason::ALL {
        metrics.answered(Some(reason));
    }
    metrics.handshake_failed(HandshakeFailure::Protocol);
    metrics.config.succeeded();
    metrics.certificate.succeeded();
    let exposed: BTreeSet<String> = metrics
        .encode()
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
        .map(|name| {
            let of_histogram = ["_bucket", "_sum", "_count"];
            let base = of_histogram.iter().find_map(|suffix| name.strip_suffix(suffix));
            base.map_or_else(|| name.clone(), str::to_owned)
        })
        .collect();
    let documented: BTreeSet<String> = read("docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `pullcred_"))
        .map(|line| format!("pullcred_{}", line.split(['{', '`']).next().unwrap()))
        .collect();
    assert_eq!(exposed, documented);
    for reason in Reason::ALL {
        let quoted = format!("`{}`", reason.as_str());
        assert!(read("docs/metrics.md").contains(&quoted), "{quoted} is not documented");
    }
}

#[test]
fn the_tests_that_show_failure_modes_exist() {
    let tests: String = ["tests", "src"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), ".rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut checked = 0;
    for row in read("docs/failure-modes.md").lines().filter(|line| line.starts_with("| F")) {
        let shown_by = row.rsplit('|').nth(1).unwrap();
        for name in shown_by.split('`').skip(1).step_by(2) {
            checked += 1;
            let function = name.rsplit("::").next().unwrap();
            let there = tests.contains(&format!("fn {function}("))
                || root().join(name).exists()
                || root().join(format!("fuzz/fuzz_targets/{name}.rs")).exists();
            assert!(there, "there is no {name}");
        }
    }
    assert!(checked > 50, "only {checked} names were found");
}

#[test]
fn links_lead_somewhere() {
    let mut checked = 0;
    for document in files(root(), ".md") {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            checked += 1;
            assert!(document.with_file_name(target).exists(), "{}: {link}", document.display());
        }
    }
    assert!(checked > 10, "only {checked} links were found");
}

#[test]
fn the_mappings_of_the_readme_are_mappings() {
    for readme in ["README.md", "README.zh-CN.md"] {
        let text = read(readme);
        let blocks: Vec<&str> =
            text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert_eq!(blocks.len(), 1, "{readme}");
        for block in blocks {
            mapping::parse(block).unwrap_or_else(|error| panic!("{readme}: {error}"));
        }
    }
}

#[test]
fn the_readme_says_the_same_in_both_languages() {
    let outline = |readme: &str| {
        let text = read(readme);
        let levels: Vec<usize> = text
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| line.chars().take_while(|c| *c == '#').count())
            .collect();
        let blocks: Vec<String> = text.split("```").skip(1).step_by(2).map(str::to_owned).collect();
        let rows =
            text.lines().filter(|line| line.starts_with("| ") || line.starts_with("- ")).count();
        (levels, blocks, rows)
    };
    assert_eq!(outline("README.md"), outline("README.zh-CN.md"));
}
