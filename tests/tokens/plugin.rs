//! Plugins that behave, and plugins that do not.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use pullcred::{
    core::rules::Plugin,
    registry::tokens::{PluginProblem, plugin},
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// A folder with one plugin, which is this script.
fn folder(script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugin");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn plugin_named(name: &str) -> Plugin {
    Plugin {
        name: name.into(),
        args: vec!["--one".into(), "a b; $HOME".into()],
        env: BTreeMap::from([("REGION".into(), "eu-west-1".into())]),
        audience: None,
        refresh: None,
    }
}

async fn run(folder: &Path, limit: Duration) -> Result<String, PluginProblem> {
    let request = plugin::request("ghcr.io/acme/app", Some(&"t0ken".into()));
    let answer = plugin::run(folder, &plugin_named("plugin"), &request, limit).await?;
    Ok(String::from_utf8(answer.to_vec()).unwrap())
}

#[tokio::test]
async fn a_plugin_gets_what_the_mapping_says_and_nothing_else() {
    let folder = folder(
        "printf '%s|' \"$@\"; /usr/bin/env | /usr/bin/sort | /usr/bin/tr '\\n' '|'; pwd; cat",
    );
    // The variables of a shell are its own.
    let answer = run(folder.path(), LIMIT).await.unwrap();
    let own = ["PWD", "SHLVL", "_", "OLDPWD"];
    let (arguments, rest) = answer.split_at("--one|a b; $HOME|".len());
    assert_eq!(arguments, "--one|a b; $HOME|");
    let (variables, request) = rest.split_once("|/\n").unwrap();
    let variables: Vec<_> =
        variables.split('|').filter(|it| !own.contains(&it.split('=').next().unwrap())).collect();
    assert_eq!(variables, ["REGION=eu-west-1"]);
    assert_eq!(
        request,
        r#"{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"ghcr.io/acme/app","serviceAccountToken":"t0ken"}"#
    );
}

#[tokio::test]
async fn a_plugin_that_fails_is_told_by_status_and_length_alone() {
    let folder = folder("echo hunter2 >&2; echo hunter2; exit 3");
    let problem = run(folder.path(), LIMIT).await.unwrap_err();
    let text = problem.to_string();
    assert!(
        text.starts_with("the plugin ended with exit status: 3 and 8 bytes of errors"),
        "{text}"
    );
    assert!(!format!("{text} {problem:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_plugin_that_crashes_is_told() {
    let folder = folder("kill -SEGV $$");
    let text = run(folder.path(), LIMIT).await.unwrap_err().to_string();
    assert!(text.contains("signal: 11"), "{text}");
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_told() {
    let folder = folder("");
    let request = plugin::request("ghcr.io/app", None);
    let error =
        plugin::run(folder.path(), &plugin_named("other"), &request, LIMIT).await.unwrap_err();
    assert!(
        error.to_string().starts_with("the plugin other cannot be started (entity not found)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_with_all_that_it_started() {
    let folder = folder("echo $$ >\"${0%/*}/group\"; sleep 600 & sleep 600");
    let started = Instant::now();
    let limit = Duration::from_secs(1);
    let error = run(folder.path(), limit).await.unwrap_err();
    assert_eq!(error, PluginProblem::Slow(1));
    assert!(started.elapsed() < Duration::from_secs(5));
    let group = fs::read_to_string(folder.path().join("group")).unwrap();
    assert_eq!(members(group.trim()), 0);
}

#[tokio::test]
async fn what_a_plugin_leaves_behind_is_killed_and_not_waited_for() {
    let folder = folder("echo $$ >\"${0%/*}/group\"; sleep 600 & echo answer");
    let started = Instant::now();
    assert_eq!(run(folder.path(), LIMIT).await.unwrap(), "answer\n");
    assert!(started.elapsed() < Duration::from_secs(5));
    let group = fs::read_to_string(folder.path().join("group")).unwrap();
    assert_eq!(members(group.trim()), 0);
}

#[tokio::test]
async fn a_plugin_whose_caller_goes_away_is_killed() {
    let folder = folder("echo $$ >\"${0%/*}/group\"; sleep 600");
    let file = folder.path().join("group");
    let running = run(folder.path(), LIMIT);
    let begun = async {
        while fs::read_to_string(&file).unwrap_or_default().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        answer = running => panic!("{answer:?}"),
        () = begun => {}
    }
    let group = fs::read_to_string(&file).unwrap();
    assert_eq!(members(group.trim()), 0);
}

/// How many processes of a group run. One that was killed is gone at once, or waits for its parent as a zombie.
fn members(group: &str) -> usize {
    let is_member = |stat: &str| {
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[0] != "Z" && fields[2] == group
    };
    let count = || {
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let stats = processes.filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
        stats.filter(|stat| is_member(stat)).count()
    };
    // A signal takes a moment.
    let deadline = Instant::now() + Duration::from_secs(5);
    while count() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    count()
}

#[tokio::test]
async fn a_plugin_that_floods_is_killed() {
    let started = Instant::now();
    let out = folder("cat /dev/zero");
    assert_eq!(run(out.path(), LIMIT).await.unwrap_err(), PluginProblem::Flood);
    // Errors are counted and dropped, however many.
    let err = folder("head -c 50000000 /dev/zero >&2; echo fine");
    assert_eq!(run(err.path(), LIMIT).await.unwrap(), "fine\n");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_plugin_that_reads_nothing_may_answer() {
    let folder = folder("exec <&-; echo fine");
    assert_eq!(run(folder.path(), LIMIT).await.unwrap(), "fine\n");
}
