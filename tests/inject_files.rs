//! `pullcred inject`: where manifests come from and go to, through the real binary.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
};

use cli::{Run, run};

const MAPPING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/mapping.yaml");

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: a, image: nginx}\n";

/// What becomes of [`POD`].
const DONE: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  imagePullSecrets:\n  - name: hub\n  containers:\n  - {name: a, image: nginx}\n";

/// The command in this folder, with these arguments.
fn inject(folder: &Path, args: &[&str]) -> Run {
    inject_stdin(folder, args, "")
}

fn inject_stdin(folder: &Path, args: &[&str], stdin: &str) -> Run {
    let args: Vec<_> =
        ["inject", "--config", MAPPING].into_iter().chain(args.iter().copied()).collect();
    cli::output(cli::command(&args).current_dir(folder), stdin)
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// The names of all that is in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_fault_in_a_later_document_leaves_nothing_on_standard_output() {
    let faults = [
        "a: [\n",
        "kind: Pod\nspec: {containers: text}\n",
        "- a\n",
        "kind: Pod\nspec: {containers: [{image: nginx}], <<: 1}\n",
    ];
    for fault in faults {
        let text = format!("{POD}---\n{fault}---\n{POD}");
        for output in [&["-o", "yaml"][..], &["-o", "json"], &["-o", "diff"], &["--check"]] {
            let args = [output, &["-f", "-"]].concat();
            let run = inject_stdin(Path::new("."), &args, &text);
            assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{fault}{}", run.stderr);
        }
    }
    // Nor of another file, or beyond what is kept in memory.
    let large = POD.to_owned() + &format!("---\n# {}\n", "x".repeat(1 << 20)).repeat(6);
    let folder = folder(&[("1.yaml", &large), ("2.yaml", "a: [\n")]);
    let run = inject(folder.path(), &["-f", "1.yaml", "-f", "2.yaml"]);
    assert_eq!((run.code, run.stdout.len()), (Some(1), 0));
    let run = inject(folder.path(), &["-f", "1.yaml"]);
    assert_eq!((run.code, run.stdout), (Some(0), large.replacen(POD, DONE, 1)));
}

#[test]
fn files_are_replaced_in_place_all_or_none() {
    let crlf = POD.replace('\n', "\r\n");
    let folder = folder(&[("a.yaml", POD), ("b.yaml", &crlf), ("same.yaml", DONE)]);
    let path = |name: &str| folder.path().join(name);
    fs::set_permissions(path("a.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(path("links")).unwrap();
    symlink("../a.yaml", path("links/a.yaml")).unwrap();
    let same = fs::metadata(path("same.yaml")).unwrap().modified().unwrap();

    fs::write(path("bad.yaml"), "a: [\n").unwrap();
    let run = inject(folder.path(), &["--in-place", "-f", "a.yaml", "-f", "bad.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert_eq!(fs::read_to_string(path("a.yaml")).unwrap(), POD);
    fs::remove_file(path("bad.yaml")).unwrap();

    let args = ["--in-place", "-f", "links/a.yaml", "-f", "b.yaml", "-f", "same.yaml"];
    let run = inject(folder.path(), &args);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    assert!(
        run.stderr.ends_with("added Secrets to 2 of 3 Pods and Pod templates\n"),
        "{}",
        run.stderr
    );
    assert_eq!(fs::read_to_string(path("a.yaml")).unwrap(), DONE);
    assert_eq!(fs::metadata(path("a.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(path("links/a.yaml")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(path("b.yaml")).unwrap(), DONE.replace('\n', "\r\n"));
    assert_eq!(fs::metadata(path("same.yaml")).unwrap().modified().unwrap(), same);
    assert_eq!(names(folder.path()), ["a.yaml", "b.yaml", "links", "same.yaml"]);
    assert_eq!(inject(folder.path(), &["-f", ".", "--check"]).code, Some(0));

    for args in [["-o", "json"].as_slice(), &["--check"]] {
        let run = inject(folder.path(), &[&["--in-place", "-f", "a.yaml"], args].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
    }
}

#[test]
fn folders_and_patterns_stand_for_their_files() {
    let json = r#"{"apiVersion": "v1", "kind": "ConfigMap"}"#;
    let folder = folder(&[
        ("d/b.yml", POD),
        ("d/a.yaml", POD),
        ("d/c.json", json),
        ("d/README.md", "# not: [it"),
        ("d/sub.yaml/e.yaml", "a: ["),
        ("e/[1].yaml", POD),
    ]);
    let all = inject(folder.path(), &["-f", "d"]);
    assert_eq!((all.code, all.stdout), (Some(0), format!("{DONE}---\n{DONE}---\n{json}")));
    let some = inject(folder.path(), &["-f", "d/*.y*ml"]);
    assert_eq!((some.code, some.stdout), (Some(0), format!("{DONE}---\n{DONE}")));
    assert_eq!(inject(folder.path(), &["-f", "?/[ab].y*"]).stdout, format!("{DONE}---\n{DONE}"));
    // A file of that very name comes first.
    assert_eq!(inject(folder.path(), &["-f", "e/[1].yaml"]).stdout, DONE);
    for nothing in ["d/x*.yaml", "d/sub.yaml/f", "[", "*/sub.yaml"] {
        let run = inject(folder.path(), &["-f", nothing]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{nothing}");
        assert!(
            run.stderr.starts_with(&format!("pullcred: cannot read {nothing}: ")),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn marks_and_utf_16_are_read_as_kubectl_reads_them() {
    let marked = format!("\u{feff}{POD}");
    let stream = format!("{marked}---\n{marked}--- # c\n\u{feff}{POD}");
    let expected = format!("\u{feff}{DONE}---\n{DONE}--- # c\n{DONE}");
    let folder = folder(&[
        ("1.yaml", &marked),
        ("2.yaml", &marked),
        ("3.yaml", &stream.replace("--- # c", "---")),
    ]);
    let run = inject(folder.path(), &["-f", "3.yaml"]);
    assert_eq!(
        (run.code, run.stdout),
        (Some(0), expected.replace("--- # c", "---")),
        "{}",
        run.stderr
    );
    // Files with marks become a stream with one mark, which is read again.
    let run = inject(folder.path(), &["-f", "1.yaml", "-f", "2.yaml"]);
    assert_eq!(run.stdout, format!("\u{feff}{DONE}---\n{DONE}"));
    let again = inject_stdin(folder.path(), &["-f", "-"], &run.stdout);
    assert_eq!((again.code, again.stdout), (Some(0), run.stdout));

    for (name, bytes) in [("le.yaml", "\u{feff}".to_owned() + POD + "---\n# é\n" + POD)]
        .into_iter()
        .flat_map(|(_, text)| {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            [("le.yaml", little), ("be.yaml", big)]
        })
    {
        fs::write(folder.path().join(name), bytes).unwrap();
        let run = inject(folder.path(), &["-f", name]);
        let text = run.stdout.trim_start_matches('\u{feff}');
        assert_eq!(
            (run.code, text),
            (Some(0), format!("{DONE}---\n# é\n{DONE}").as_str()),
            "{name}: {}",
            run.stderr
        );
    }
}

#[test]
fn what_can_be_read_only_once_is_read_in_full() {
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\nimagePullSecrets: [{name: vendor}]\n";
    let expected = DONE.replace("  - name: hub\n", "  - name: vendor\n  - name: hub\n");
    let text = format!("{POD}---\n{account}");
    let from_stdin = inject_stdin(Path::new("."), &["-f", "-"], &text);
    assert_eq!(from_stdin.stdout, format!("{expected}---\n{account}"));
    // A pipe that has a name, as `<(…)` of a shell has.
    let mut command = cli::command(&["inject", "--config", MAPPING, "-f", "/dev/stdin"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), from_stdin.stdout);
}

#[test]
fn service_accounts_come_from_files_too() {
    let list = "apiVersion: v1\nkind: ServiceAccountList\nitems:\n- metadata: {name: default, namespace: default}\n  imagePullSecrets: [{name: vendor}]\n- metadata: {name: default, namespace: shop}\n  imagePullSecrets: [{name: hub}]\n";
    let folder = folder(&[
        ("pod.yaml", POD),
        ("accounts/1.yaml", list),
        ("accounts/2.yaml", "kind: Other\n"),
    ]);
    let with = |args: &[&str]| inject(folder.path(), &[&["-f", "pod.yaml"], args].concat());
    let given = DONE.replace("  - name: hub\n", "  - name: vendor\n  - name: hub\n");
    let run = with(&["--service-accounts", "accounts"]);
    assert_eq!((run.code, run.stdout), (Some(0), given));
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    // In another namespace the ServiceAccount gives all that the Pod needs.
    let run = with(&["--service-accounts", "accounts/1.yaml", "-n", "shop", "--check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    let run = with(&["--service-accounts", "accounts/1.yaml", "-n", "other"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), DONE));
    assert!(run.stderr.contains("warning: pod.yaml: line 1: Pod a gets its first pull Secret, so its Pods no longer get those of the ServiceAccount other/default"), "{}", run.stderr);

    let run = with(&["--service-accounts", "live", "--kubeconfig", "none.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.starts_with("pullcred: the kubeconfig cannot be used"), "{}", run.stderr);
    let run = with(&["--service-accounts", "pod.yaml", "--service-accounts", "none.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let run = with(&["-f", "-", "--service-accounts", "-"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}

#[test]
fn explain_knows_service_accounts() {
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\nimagePullSecrets: [{name: vendor}]\n";
    let folder = folder(&[("pods/1.yaml", POD), ("pods/2.yaml", account), ("alone.yaml", POD)]);
    let explain = |args: &[&str]| {
        let args = [&["explain", "--config", MAPPING], args].concat();
        cli::output(cli::command(&args).current_dir(folder.path()), "")
    };
    let given = explain(&["-f", "alone.yaml", "--service-accounts", "pods"]);
    for run in [explain(&["-f", "pods"]), given] {
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        assert!(
            run.stdout.contains("lists vendor\n") && run.stdout.contains("adds hub\n"),
            "{}",
            run.stdout
        );
    }
    let run = explain(&["-f", "alone.yaml"]);
    assert!(run.stdout.contains("lists no Secret\n"), "{}", run.stdout);
    assert!(
        run.stderr.starts_with("warning: the ServiceAccount default/default is not at hand"),
        "{}",
        run.stderr
    );
    assert_eq!(explain(&["-f", "alone.yaml", "--context", "c"]).code, Some(2));
}

#[test]
fn what_cannot_be_found_counts_under_check() {
    let job = "apiVersion: example.com/v1\nkind: Job\nspec:\n  template:\n    spec:\n      containers: [{image: nginx}]\n";
    let fine = "kind: Job\napiVersion: example.com/v1\nspec: {template: {spec: {containers: [{image: gcr.io/x/y}]}}}\n";
    for (text, args, code, shown) in [
        (job, &[][..], 1, "--path 'Job=/spec/template'"),
        (fine, &[], 0, "no Pod or Pod template found"),
        (fine, &["--path", "/spec/template"], 0, "0 of 1"),
        (
            fine,
            &["--path", "/spec/template", "--path", "/spec/none"],
            1,
            "--path /spec/none leads to no Pod template",
        ),
        (
            fine,
            &["--path", "Jobs=/spec/template"],
            1,
            "--path Jobs=/spec/template leads to no Pod template",
        ),
        (fine, &["--path", "/spec/template/spec"], 1, "leads to no Pod template"),
        (POD, &["--path", "/spec/template"], 1, "leads to no Pod template"),
    ] {
        let args = [&["-f", "-", "--check"], args].concat();
        let run = inject_stdin(Path::new("."), &args, text);
        assert_eq!(run.code, Some(code), "{args:?}: {}", run.shown());
        assert!(run.shown().contains(shown), "{args:?}: {}", run.shown());
        // Without --check it is no failure.
        let args: Vec<_> = args.iter().copied().filter(|arg| *arg != "--check").collect();
        assert_eq!(inject_stdin(Path::new("."), &args, text).code, Some(0));
    }
}

/// The template mark is only a hint: the fault comes first.
#[test]
fn braces_elsewhere_do_not_hide_a_fault() {
    let text =
        POD.replace("metadata: {name: a}", "metadata: {name: a, annotations: {a: \"{{ $x }}\"}}");
    let run =
        run(&["inject", "--config", MAPPING, "-f", "-"], &text.replace("  - {name", "\t- {name"));
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("line 6") && run.stderr.contains("tab"), "{}", run.stderr);
}
