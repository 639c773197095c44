//! What the documents say, held against the code.

#![cfg(test)]

#[path = "support/cli.rs"]
#[expect(dead_code, reason = "of the tests' runner it takes what runs in a folder of one's own")]
mod cli;
#[path = "docs/markdown.rs"]
mod markdown;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::CommandFactory;
use markdown::{Console, anchors, blocks, commands, headings, links, quoted, table};
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    cli::Cli,
    commands::check::Check,
    controller::{
        certificates::{metrics as controller, plan::Validity},
        credentials::metrics as credentials,
    },
    core::{decide::Reason, reports::LoginHealth, review::ReviewError},
    http::observer::{HandshakeFailure, Observer},
    mapping,
    webhook::{metrics::Metrics, rejection::Rejection},
};

/// The commands whose flags `docs/configuration.md` has, each in a section of its own.
const LONG_RUNNING: [&str; 4] = ["controller", "credentials", "plugins", "webhook"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below `folder` whose name ends in `ending`, without what is hidden or built.
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

/// Every document, by its name below the root.
fn documents() -> Vec<(String, String)> {
    let documents: Vec<_> = files(root(), ".md")
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            let text = read(&name);
            (name, text)
        })
        .collect();
    assert!(documents.len() > 15, "only {} documents were found", documents.len());
    documents
}

/// The names of the metrics in a text format, those of a histogram as one.
fn names(exposed: &str) -> BTreeSet<String> {
    exposed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .map(|name| {
            let of_histogram = ["_bucket", "_sum", "_count"];
            of_histogram.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
        })
        .collect()
}

/// The metrics that a section of the documentation has.
fn documented(section: &str) -> BTreeSet<String> {
    table(&read("docs/metrics.md"), section)
        .iter()
        .map(|row| quoted(row[0]).next().unwrap().split('{').next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_metrics_of_the_webhook_are_those_that_are_documented() {
    let mut metrics = Metrics::new(Counter::default());
    let _reports = metrics.with_reports();
    let metrics = Arc::new(metrics);
    metrics.answered(None);
    metrics.handshake_failed(HandshakeFailure::Protocol);
    metrics.config.succeeded();
    metrics.certificate.succeeded();
    assert_eq!(names(&metrics.encode().unwrap()), documented("Of the webhook"));
}

#[test]
fn the_metrics_of_the_controller_are_those_that_are_documented() {
    let metrics = controller::Metrics::new(Counter::default());
    let validity = Validity { not_before: 0, not_after: 1 };
    metrics.read(&controller::Seen { ca: Some(validity), ..controller::Seen::default() });
    assert_eq!(names(&metrics.encode().unwrap()), documented("Of the controller"));
}

#[test]
fn the_metrics_of_the_credentials_controller_are_those_that_are_documented() {
    let metrics = credentials::Metrics::new(Counter::default());
    metrics.login("acme", true);
    metrics.fetching().start("acme");
    metrics.fetching().ends("acme", 1);
    metrics.fetching().skew("acme", 1);
    metrics.health().start();
    let record =
        LoginHealth { checked_at: "2026-01-01T00:00:00Z".into(), ..LoginHealth::default() };
    metrics.health().set("acme", Some(&record), false);
    assert_eq!(names(&metrics.encode().unwrap()), documented("Of the credentials controller"));
}

#[test]
fn the_reasons_of_requests_are_those_that_are_documented() {
    let rejections = [
        Rejection::Answer(serde_json::from_str::<()>("").unwrap_err()),
        Rejection::BodyBroken,
        Rejection::BodyTimedOut(10),
        Rejection::BodyTooLarge(1),
        Rejection::ContentType,
        Rejection::Method,
        Rejection::NoMapping,
        Rejection::NotFound,
        Rejection::Overloaded,
        Rejection::Panicked,
        Rejection::Review(ReviewError::NoUid),
    ];
    assert_eq!(rejections.each_ref().map(Rejection::reason), Rejection::REASONS);
    let left = Reason::ALL.map(|reason| ("left", reason.as_str()));
    let refused = rejections.iter().map(|rejection| ("refused", rejection.reason()));
    let known: BTreeSet<_> =
        left.into_iter().chain(refused).chain([("injected", "none")]).collect();

    let text = read("docs/metrics.md");
    let rows = table(&text, "Results and reasons");
    let documented: BTreeSet<_> =
        rows.iter().map(|row| (row[0].trim_matches('`'), row[1].trim_matches('`'))).collect();
    assert_eq!(known, documented);
}

#[test]
fn the_checks_are_those_that_are_documented() {
    let text = read("docs/checks.md");
    let sections = ["Checks of a mapping", "Checks of a cluster"];
    let rows = sections.iter().flat_map(|section| table(&text, section));
    let mut documented: Vec<&str> = rows.map(|row| row[0].trim_matches('`')).collect();
    documented.sort_unstable();
    let mut known = Check::ALL.map(Check::as_str);
    known.sort_unstable();
    assert_eq!(known, *documented);
}

#[test]
fn links_lead_somewhere() {
    let mut checked = 0;
    for (name, text) in documents() {
        let here = root().join(&name);
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { here.clone() } else { here.with_file_name(file) };
            assert!(target.exists(), "{name}: {link}: there is no such file");
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(&target).unwrap());
                assert!(anchors.iter().any(|it| it == anchor), "{name}: {link}: {anchors:?}");
            }
        }
    }
    assert!(checked > 60, "only {checked} links were found");
}

#[test]
fn every_decision_is_in_the_index() {
    let index = read("docs/decisions/README.md");
    let listed: BTreeSet<&str> = links(&index).into_iter().collect();
    let there: Vec<PathBuf> = files(&root().join("docs/decisions"), ".md");
    for decision in there.iter().map(|path| path.file_name().unwrap().to_str().unwrap()) {
        assert!(decision == "README.md" || listed.contains(decision), "{decision} is not listed");
    }
}

/// Comments and messages point to documents, of which other projects have some, too, deeper in their folders.
#[test]
fn the_code_points_to_documents_that_exist() {
    let mut checked = 0;
    for ending in [".rs", ".sh", ".yaml", ".tpl", "Dockerfile"] {
        for path in files(root(), ending) {
            let text = fs::read_to_string(&path).unwrap();
            for folder in ["docs/", "docs/decisions/"] {
                for rest in text.split(folder).skip(1) {
                    let is_part = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
                    let name: String = rest.chars().take_while(is_part).collect();
                    if rest[name.len()..].starts_with(".md") {
                        checked += 1;
                        let document = format!("{folder}{name}.md");
                        assert!(root().join(&document).is_file(), "{}: {document}", path.display());
                    }
                }
            }
        }
    }
    assert!(checked >= 8, "only {checked} were found");
}

/// A block of YAML that begins like a mapping is one, and so is what stands under `mapping` in a chart's values.
#[test]
fn mappings_are_mappings() {
    let mut checked = 0;
    for (name, text) in documents() {
        for block in blocks(&text) {
            let values = block.lines.iter().position(|line| *line == "mapping:");
            let mapping: Vec<&str> = match (block.language, values) {
                ("yaml", None) if ["rules:", "logins:"].contains(&block.lines[0]) => block.lines,
                (_, None) => continue,
                (_, Some(at)) => {
                    block.lines[at + 1..].iter().map_while(|line| line.strip_prefix("  ")).collect()
                }
            };
            checked += 1;
            let parsed = mapping::parse(&mapping.join("\n"));
            parsed.unwrap_or_else(|error| panic!("{name}: {error}\n{}", mapping.join("\n")));
        }
    }
    assert!(checked >= 5, "only {checked} mappings were found");
}

/// What the pages of clouds quote of an error is in the code.
#[test]
fn the_errors_of_logins_are_those_of_the_code() {
    let sources: String =
        ["src/registry", "src/fetch", "crates/core/src/rules", "src/controller/credentials"]
            .iter()
            .flat_map(|folder| files(&root().join(folder), ".rs"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
    // A text that goes on in the next line is one.
    let mut parts = sources.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    let sources = parts.fold(first, |joined, part| joined + part.trim_start());
    let mut checked = 0;
    for page in files(&root().join("docs/logins"), ".md") {
        let text = fs::read_to_string(&page).unwrap();
        let mut lines = text.lines();
        while lines.by_ref().any(|line| line == "| the error has | what it means |") {
            for row in lines.by_ref().skip(1).take_while(|line| line.starts_with("| ")) {
                let cell = row[2..].split(" | ").next().unwrap();
                for words in quoted(cell) {
                    checked += 1;
                    assert!(sources.contains(words), "{}: {words}", page.display());
                }
            }
        }
    }
    assert!(checked > 50, "only {checked} were found");
}

#[test]
fn the_readme_says_the_same_in_both_languages() {
    say_the_same("README.md", "README.zh-CN.md");
}

#[test]
fn the_quick_start_says_the_same_in_both_languages() {
    say_the_same("docs/quickstart.md", "docs/quickstart.zh-CN.md");
}

/// A version is supported if the tests run it, or hold the chart's objects against its schemas.
#[test]
fn the_supported_versions_are_those_of_the_tests() {
    let minor = |file: &str, module: &str| {
        let text = read(file);
        let (_, version) = text
            .split_once(&format!("{module} v"))
            .unwrap_or_else(|| panic!("{file}: no {module}"));
        version.split('.').take(2).collect::<Vec<_>>().join(".")
    };
    let schemas = read("tests/chart/manifests/validate.sh");
    let schemas: Vec<&str> =
        schemas.lines().filter_map(|line| line.strip_prefix("v0.")?.split('.').next()).collect();
    let (first, last) = (schemas.first().unwrap(), schemas.last().unwrap());
    let newest = minor("tests/cluster/kubernetes/go.mod", "k8s.io/kubernetes");
    let folder = format!("tests/cluster/kubernetes/1.{first}/go.mod");
    let oldest = minor(&folder, "k8s.io/kubernetes");
    let tested = [
        format!("1.{first} to 1.{last}"),
        format!("{oldest} and {newest}"),
        minor("tests/cluster/helm/go.mod", "helm.sh/helm/v4"),
        minor("tests/cluster/containerd/go.mod", "github.com/containerd/containerd/v2"),
    ];
    let text = read("docs/versions.md");
    let documented: Vec<_> =
        table(&text, "Supported versions").iter().map(|row| row[1].to_owned()).collect();
    assert_eq!(documented[..tested.len()], tested);
    let minimum = format!("kubeVersion: \">=1.{first}.0-0\"");
    assert!(read("charts/pullcred/Chart.yaml").contains(&minimum), "{minimum}");
    let lane = format!("PULLCRED_KUBERNETES={oldest} $(CARGO) test --locked --test cluster\n");
    assert!(read("Makefile").contains(&lane), "{lane}");
}

/// docs/versions.md says how many of the scenarios without a node run on the oldest version: those that need nothing newer.
#[test]
fn the_number_of_scenarios_on_the_oldest_version_is_that_of_the_list() {
    let list = read("tests/cluster/scenarios/mod.rs");
    let (without_a_node, _) = list.split_once("fn on_a_node").unwrap();
    let is_path = |it: &str| {
        it.contains("::") && it.chars().all(|it| it.is_ascii_lowercase() || "_:".contains(it))
    };
    let scenarios: Vec<(&str, bool)> = without_a_node
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .map(|line| line.split_once(" needs ").map_or((line, false), |(path, _)| (path, true)))
        .filter(|(path, _)| is_path(path))
        .collect();
    let run = scenarios.iter().filter(|(_, newer)| !newer).count();
    let count = format!("{run} of the {} scenarios that need no node", scenarios.len());
    assert!(read("docs/versions.md").contains(&count), "{count}");
}

/// The commands of SECURITY.md are those that `make release DRY_RUN=1` runs.
#[test]
fn the_commands_that_verify_a_release_are_those_of_its_script() {
    let (document, script) = (read("SECURITY.md"), read("release/verify.sh"));
    for part in [
        "sha256sum --check --strict --ignore-missing",
        "cosign verify-blob",
        "--bundle SHA256SUMS.sigstore.json SHA256SUMS",
        "cosign verify ",
        "cosign verify-attestation",
        "--type cyclonedx",
        "--certificate-oidc-issuer https://token.actions.githubusercontent.com",
        "/.github/workflows/release.yml@refs/tags/v",
        "charts/pullcred",
    ] {
        assert!(document.contains(part), "SECURITY.md: no {part}");
        assert!(script.contains(part), "release/verify.sh: no {part}");
    }
}

/// The same headings, commands, links and lists. Anchors are in the language of their headings.
fn say_the_same(english: &str, chinese: &str) {
    let (english, chinese) = (read(english), read(chinese));
    let levels = |text| headings(text).map(|(level, _)| level).collect::<Vec<_>>();
    assert_eq!(levels(&english), levels(&chinese));
    assert_eq!(blocks(&english), blocks(&chinese));
    // Each points to the other; all else is the same, in the reader's language where there is such a page.
    let foreign = |link: &&str| !(link.starts_with('#') || link.is_empty());
    let targets = |text| {
        links(text).into_iter().skip(1).filter(foreign).map(str::to_owned).collect::<Vec<_>>()
    };
    let in_english =
        targets(&chinese).iter().map(|it| it.replace(".zh-CN", "")).collect::<Vec<_>>();
    assert_eq!(targets(&english), in_english);
    let shape = |text| {
        let marks = ["| ", "- "];
        let first = |line: &str| marks.iter().position(|mark| line.starts_with(mark));
        markdown::prose(text).filter_map(first).collect::<Vec<_>>()
    };
    assert_eq!(shape(&english), shape(&chinese));
}

#[test]
fn the_flags_of_what_runs_for_long_are_those_that_are_documented() {
    let text = read("docs/configuration.md");
    for command in LONG_RUNNING {
        let mut cli = Cli::command();
        cli.build();
        let known: BTreeSet<(String, String)> = cli
            .find_subcommand(command)
            .unwrap()
            .get_arguments()
            .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
            .map(|argument| {
                let environment = argument.get_env().unwrap_or_default().to_string_lossy();
                (format!("--{}", argument.get_long().unwrap()), environment.into_owned())
            })
            .collect();
        let documented: BTreeSet<(String, String)> = table(&text, &format!("`pullcred {command}`"))
            .iter()
            .map(|row| {
                let flag = row[0].trim_matches('`').split(' ').next().unwrap();
                (flag.to_owned(), row[1].trim_matches('`').to_owned())
            })
            .collect();
        assert_eq!(known, documented);
    }
}

/// What a person sees who runs `command` in `folder`, perhaps with a file as its standard input. Of what is piped on, that
/// is what goes to standard error.
fn printed(command: &str, folder: &Path) -> String {
    let stdin = command.split_once(" < ").map(|(_, file)| folder.join(file));
    let stdin = stdin.map(|file| fs::read_to_string(file).unwrap()).unwrap_or_default();
    let run = cli::output(cli::command(&arguments(command)[1..]).current_dir(folder), &stdin);
    if command.contains(" | ") { run.stderr } else { run.stdout + &run.stderr }
}

/// The arguments of a command, up to a pipe or a redirection.
fn arguments(command: &str) -> Vec<&str> {
    command.split(' ').take_while(|word| !matches!(*word, "|" | ">" | "<" | "&&")).collect()
}

/// Every command of ours is one that can be typed, and prints what the documents say. A `cat` shows a file for the
/// commands below it.
#[test]
fn commands_print_what_they_are_said_to() {
    let (mut typed, mut run) = (0, 0);
    for (name, text) in documents() {
        let folder = tempfile::tempdir().unwrap();
        symlink(root().join("examples"), folder.path().join("examples")).unwrap();
        for block in blocks(&text).iter().filter(|block| block.language == "console") {
            for Console { command, output } in commands(block) {
                if let Some(file) = command.strip_prefix("cat ")
                    && !file.contains(' ')
                {
                    fs::write(folder.path().join(file), output.join("\n") + "\n").unwrap();
                } else if command.starts_with("pullcred ") {
                    typed += 1;
                    let words = arguments(command).into_iter().map(Into::into);
                    Cli::read(words).unwrap_or_else(|error| panic!("{name}: {command}: {error}"));
                    if !output.is_empty() {
                        run += 1;
                        let printed = printed(command, folder.path());
                        let (printed, mut said) = (printed.trim_end(), output.join("\n"));
                        if command.contains(" | ") && !printed.is_empty() {
                            said.truncate(printed.len()); // What follows is the next command's.
                        }
                        assert_eq!(printed, said, "{name}: {command}");
                    }
                }
            }
        }
    }
    assert!(
        typed >= 6 && run >= 4,
        "only {typed} commands were found, of which {run} could be run"
    );
}

/// What `kubectl` prints in the documents of reports and of health is what it printed in the tests on a real API server.
#[test]
fn transcripts_are_those_of_the_cluster_tests() {
    let snapshots: String = files(&root().join("tests/cluster/scenarios"), ".snap")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for (name, at_least) in [("docs/reports.md", 5), ("docs/health.md", 3)] {
        let mut checked = 0;
        let text = read(name);
        for block in blocks(&text).iter().filter(|block| block.language == "console") {
            for Console { command, output } in commands(block) {
                if command.starts_with("kubectl ") && !output.is_empty() {
                    checked += 1;
                    let said = format!("$ {command}\n{}\n", output.join("\n"));
                    assert!(snapshots.contains(&said), "{name}: {said}");
                }
            }
        }
        assert!(checked >= at_least, "only {checked} were found in {name}");
    }
}

/// Where a test of this name is, which may have the name of its module in front.
fn test_exists(name: &str, sources: &[(PathBuf, String)]) -> bool {
    let (module, function) = name
        .rsplit_once("::")
        .map_or((None, name), |(module, function)| (module.rsplit("::").next(), function));
    let is_in = |path: &Path, module| {
        path.with_extension("").components().any(|part| part.as_os_str() == module)
    };
    sources.iter().any(|(path, text)| {
        module.is_none_or(|module| is_in(path, module)) && text.contains(&format!("fn {function}("))
    })
}

#[test]
fn every_failure_mode_has_a_test_that_exists_or_a_reason_why_not() {
    let sources: Vec<(PathBuf, String)> = ["tests", "src", "crates"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), ".rs"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    let text = read("docs/failure-modes.md");
    let rows: Vec<Vec<&str>> = [
        "Serving",
        "Certificates in a cluster",
        "Copies of logins",
        "Reports",
        "Health",
        "Deciding",
    ]
    .iter()
    .flat_map(|section| table(&text, section))
    .collect();
    let expected: Vec<String> = (1..=96).map(|number| format!("F{number:02}")).collect();
    let mut ids: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    ids.sort_unstable();
    assert_eq!(ids, expected);
    for row in rows {
        let [id, .., shown_by] = row.as_slice() else { panic!("{row:?}") };
        let names: Vec<&str> = quoted(shown_by).collect();
        assert!(!names.is_empty() || shown_by.starts_with("no test: "), "{id}: {shown_by}");
        for name in names.into_iter().filter(|_| !shown_by.starts_with("no test: ")) {
            let there = test_exists(name, &sources) || root().join(name).is_file();
            assert!(there, "{id}: there is no test {name}");
        }
    }
}
