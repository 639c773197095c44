//! Help, completions and manual pages, through the real binary.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{fs, os::unix, process::Command};

use clap::CommandFactory;
use cli::run;
use pullcred::cli::Cli;

/// The names of all commands.
fn commands() -> Vec<String> {
    let names: Vec<_> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert!(names.len() >= 5, "{names:?}");
    names
}

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("help", name, shown);
}

#[test]
fn every_command_has_help_with_examples() {
    for name in commands() {
        let help = run(&[&name, "--help"], "");
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{name}");
        assert!(help.stdout.contains("Example"), "{name} has no example");
        assert!(help.stdout.contains(&format!("pullcred {name}")), "{name}");
    }
}

#[test]
fn help_reads_like_this() {
    for name in commands() {
        snapshot(&name, &run(&[&name, "--help"], "").stdout);
    }
}

#[test]
fn no_arguments_are_a_question_for_help() {
    let run = run(&[], "");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("Usage: pullcred [OPTIONS] <COMMAND>"), "{}", run.shown());
}

#[test]
fn a_filter_of_the_log_that_is_none_is_explained_once() {
    let run = run(&["--log", "a=b=c", "man"], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert_eq!(run.stderr.matches("expected one of").count(), 1, "{}", run.stderr);
}

#[test]
fn a_link_makes_a_plugin_of_kubectl() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("kubectl-pullcred");
    unix::fs::symlink(env!("CARGO_BIN_EXE_pullcred"), &link).unwrap();
    let run = cli::output(Command::new(&link).args(["explain", "--help"]), "");
    assert!(run.stdout.contains("Usage: kubectl pullcred explain [OPTIONS]"), "{}", run.stdout);
    let run = cli::output(Command::new(&link).arg("inject"), "");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("Usage: kubectl pullcred inject"), "{}", run.stderr);
}

#[test]
fn bash_completes_with_what_is_written_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions");
    fs::write(&script, run(&["completions", "bash"], "").stdout).unwrap();
    let completed = |words: &[&str]| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c"])
            .arg(
                r#"source "$1" && shift && COMP_WORDS=("$@") && COMP_CWORD=$(($# - 1)) \
                   && _pullcred "$1" "${@: -1}" "${@: -2:1}" && echo "${COMPREPLY[*]}""#,
            )
            .arg("bash")
            .arg(&script)
            .args(words);
        let run = cli::output(&mut bash, "");
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout.trim().to_owned()
    };
    assert_eq!(completed(&["pullcred", "inj"]), "inject");
    assert_eq!(completed(&["pullcred", "explain", "--kube"]), "--kubeconfig");
    assert_eq!(completed(&["pullcred", "inject", "-o", ""]), "yaml json diff");
}

#[test]
fn every_shell_gets_completions_of_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = run(&["completions", shell], "");
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{shell}");
        for name in commands() {
            assert!(run.stdout.contains(&name), "{shell}: {name}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let run = cli::run(&["man", "--dir", pages.to_str().unwrap()], "");
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""));
    for name in commands() {
        let page = fs::read_to_string(pages.join(format!("pullcred-{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH pullcred-{name} 1")), "{page}");
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Example"), "{page}");
    }
    let first = fs::read_to_string(pages.join("pullcred.1")).unwrap();
    assert_eq!(cli::run(&["man"], "").stdout, first);
}

#[test]
fn a_reader_that_has_enough_is_no_reason_for_a_message() {
    let images = "nginx\n".repeat(100_000);
    let mut shell = Command::new("bash");
    shell.args(["-c", r#""$0" explain --config "$1" - | head -n 1; echo "${PIPESTATUS[0]}""#]);
    shell.arg(env!("CARGO_BIN_EXE_pullcred"));
    shell.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/mapping.yaml"));
    let run = cli::output(&mut shell, &images);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("nginx\n1\n", ""));
}
