//! The workflows: pinned, with no more rights than a table here says, and with no logic of their own. That they are well formed is actionlint's
//! to say, in `make lint`.

#![cfg(test)]

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;

/// What each job may: the job, and its permissions in the order of their names.
const RIGHTS: [(&str, &str); 5] = [
    ("build/build", "attestations: write, contents: read, id-token: write"),
    ("ci/lane", "contents: read"),
    ("nightly/lane", "contents: read"),
    ("release/build", "attestations: write, contents: read, id-token: write"),
    ("release/publish", "contents: write, id-token: write, packages: write"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The workflows by their names, with their text.
fn workflows() -> BTreeMap<String, (Value, String)> {
    let files = fs::read_dir(root().join(".github/workflows")).unwrap();
    let workflows: BTreeMap<_, _> = files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let parsed = serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (name, (parsed, text))
        })
        .collect();
    assert!(workflows.len() > 1, "no workflows");
    workflows
}

/// The jobs by the names of their workflows and their own.
fn jobs() -> BTreeMap<String, Value> {
    let of = |(name, (workflow, _)): (String, (Value, String))| {
        let jobs = workflow["jobs"].as_object().unwrap().clone();
        jobs.into_iter().map(move |(job, value)| (format!("{name}/{job}"), value))
    };
    workflows().into_iter().flat_map(of).collect()
}

fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().into_iter().flatten()
}

#[test]
fn jobs_have_the_rights_of_the_table_and_an_end() {
    for (name, (workflow, _)) in workflows() {
        let rights = workflow["permissions"].as_object();
        assert_eq!(rights.map(serde_json::Map::len), Some(0), "{name}: permissions of all jobs");
    }
    let rights: Vec<(String, String)> = jobs()
        .into_iter()
        .map(|(name, job)| {
            assert!(job["uses"].is_string() || job["timeout-minutes"].is_u64(), "{name}: no end");
            let mut rights: Vec<_> = job["permissions"]
                .as_object()
                .unwrap_or_else(|| panic!("{name} has no permissions of its own"))
                .iter()
                .map(|(right, value)| format!("{right}: {}", value.as_str().unwrap()))
                .collect();
            rights.sort_unstable();
            (name, rights.join(", "))
        })
        .collect();
    let expected = RIGHTS.map(|(name, rights)| (name.to_owned(), rights.to_owned()));
    assert_eq!(rights, expected);
}

/// A tag can be moved, a commit cannot. The comment says the version, for people and for those who look for newer ones.
#[test]
fn actions_are_pinned_by_commit() {
    let mut pinned = 0;
    for (name, (_, text)) in workflows() {
        for line in text.lines().filter(|line| line.contains("uses: ")) {
            let (_, action) = line.split_once("uses: ").unwrap();
            if action.starts_with("./") {
                assert!(root().join(action).is_file(), "{name}: {action}");
                continue;
            }
            let (action, version) =
                action.split_once(" # v").unwrap_or_else(|| panic!("{name}: {line}"));
            let (_, commit) = action.split_once('@').unwrap();
            let is_commit = commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(is_commit, "{name}: {action} is not a commit");
            assert!(
                version.split('.').all(|part| part.parse::<u32>().is_ok()),
                "{name}: {version}"
            );
            pinned += 1;
        }
    }
    assert!(pinned > 4, "only {pinned} actions");
}

/// A checkout leaves the job's token in the repository's folder unless it is told not to.
#[test]
fn checkouts_leave_no_token_behind() {
    for (name, job) in jobs() {
        for step in steps(&job)
            .filter(|step| step["uses"].as_str().is_some_and(|it| it.contains("/checkout@")))
        {
            assert_eq!(step["with"]["persist-credentials"], false, "{name}");
        }
    }
}

/// A step is one command: a target of the Makefile or a script of the repository. So everything that a workflow does can be done on any machine.
#[test]
fn steps_have_no_logic_of_their_own() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut checked = 0;
    for (name, job) in jobs() {
        for command in steps(&job).filter_map(|step| step["run"].as_str()) {
            let command = command.strip_prefix("sudo ").unwrap_or(command);
            assert!(!command.contains(['\n', ';', '|', '&', '`']), "{name}: {command}");
            let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
            if program == "make" {
                let lanes = match arguments {
                    "${{ matrix.lane }}" => {
                        job["strategy"]["matrix"]["lane"].as_array().unwrap().clone()
                    }
                    target => vec![Value::from(target)],
                };
                for lane in lanes {
                    let rule = format!("\n{}: ## ", lane.as_str().unwrap());
                    assert!(makefile.contains(&rule), "{name}: the Makefile has no target {lane}");
                    checked += 1;
                }
            } else {
                let script = fs::metadata(root().join(program))
                    .unwrap_or_else(|error| panic!("{name}: {program}: {error}"));
                assert!(
                    script.permissions().mode() & 0o111 != 0,
                    "{name}: {program} is not executable"
                );
                // What comes from outside goes through the environment, where no shell reads it as a command.
                assert!(!arguments.contains("${{"), "{name}: {command}");
                checked += 1;
            }
        }
    }
    assert!(checked > 8, "only {checked} commands");
}

/// A cache that another workflow may have filled is no part of a release.
#[test]
fn a_release_uses_no_cache() {
    for (name, job) in jobs()
        .into_iter()
        .filter(|(name, _)| name.starts_with("build/") || name.starts_with("release/"))
    {
        let cached =
            steps(&job).any(|step| step["uses"].as_str().is_some_and(|it| it.contains("cache")));
        assert!(!cached, "{name}");
    }
}

/// Each proof that docs/versions.md names for a version runs for each change: a lane of the matrix, or a test, and all tests are
/// in one lane.
#[test]
fn what_shows_a_supported_version_runs_for_each_change() {
    let lanes = jobs()["ci/lane"]["strategy"]["matrix"]["lane"].as_array().unwrap().clone();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let (_, test) = makefile.split_once("\ntest: ## ").unwrap();
    let (test, _) = test.split_once("\n\n").unwrap();
    assert!(test.contains("test --locked --workspace --all-targets"), "make test: {test}");

    let versions = fs::read_to_string(root().join("docs/versions.md")).unwrap();
    let (_, table) = versions.split_once("## Supported versions").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut checked = 0;
    for row in rows {
        for proof in row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2) {
            if let Some(lane) = proof.strip_prefix("make ") {
                assert!(lanes.contains(&Value::from(lane)), "no lane runs {proof}: {row}");
            } else if let Some(name) = proof.strip_prefix("tests/") {
                assert!(lanes.contains(&Value::from("test")), "no lane runs {proof}: {row}");
                assert!(root().join(proof).join("main.rs").is_file(), "no test {name}: {row}");
            } else {
                continue;
            }
            checked += 1;
        }
    }
    assert!(checked > 4, "only {checked} proofs");
}
