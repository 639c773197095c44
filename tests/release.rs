//! What a release is made of, but for the signatures, which `make release DRY_RUN=1` shows: the scripts of `release/` with the program of this
//! build, and krew itself as the reader of krew's manifest.

#![cfg(test)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use serde_json::Value;
use tempfile::TempDir;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const IMAGE: &str = "images.example.com/tools/pullcred";

/// A release, made once.
static RELEASE: LazyLock<Release> = LazyLock::new(Release::make);

struct Release {
    folder: TempDir,
}

// === impl Release ===

impl Release {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let release = Self { folder };
        // Without what a debugger needs it is small enough to pack four times.
        let program = release.folder.path().join("program");
        run(Command::new("strip").arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_pullcred")));
        let other = release.folder.path().join("other");
        let mut bytes = fs::read(&program).unwrap();
        // Bytes 18 and 19 say the processor, and no other is at hand to build for.
        bytes[18] = if bytes[18] == 0x3e { 0xb7 } else { 0x3e };
        fs::write(&other, bytes).unwrap();
        let (amd64, arm64) =
            if cfg!(target_arch = "x86_64") { (&program, &other) } else { (&other, &program) };
        for name in ["files", "again"] {
            run(script("release/make.sh")
                .args([VERSION, IMAGE])
                .arg(release.folder.path().join(name))
                .env("BINARY_AMD64", amd64)
                .env("BINARY_ARM64", arm64)
                .env("DOWNLOADS", "https://downloads.example.com"));
        }
        release
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

fn script(path: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert!(!status.success(), "{command:?} is not refused");
    String::from_utf8(stderr).unwrap()
}

fn archive() -> PathBuf {
    let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    RELEASE.path(&format!("pullcred_{VERSION}_linux_{here}.tar.gz"))
}

#[test]
fn a_release_has_these_files_and_the_same_bytes_each_time() {
    let mut files: Vec<_> = fs::read_dir(RELEASE.path("."))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    let named = |text: &str| text.replace(VERSION, "VERSION");
    let files: Vec<_> = files.iter().map(|file| named(file)).collect();
    assert_eq!(
        files,
        [
            "SHA256SUMS",
            "image-digest.txt",
            "krew.yaml",
            "notes.md",
            "pullcred-VERSION.tgz",
            "pullcred_VERSION.cdx.json",
            "pullcred_VERSION_image.tar",
            "pullcred_VERSION_linux_amd64.tar.gz",
            "pullcred_VERSION_linux_arm64.tar.gz",
        ]
    );
    run(Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(RELEASE.path(".")));
    let sums = RELEASE.text("SHA256SUMS");
    assert_eq!(sums.lines().count(), files.len() - 1);
    // The SBOM has a number of its own each time it is made, by its format.
    let again = fs::read_to_string(RELEASE.path("../again/SHA256SUMS")).unwrap();
    let same = |text: &str| {
        text.lines().filter(|line| !line.ends_with(".cdx.json")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(same(&sums), same(&again));
}

/// As krew does it: the archive's checksum, the files of the manifest, and the link that kubectl finds.
#[test]
fn krew_installs_the_archive_and_kubectl_finds_the_plugin() {
    let krew = run(&mut script("tests/krew/binary.sh"));
    let root = tempfile::tempdir().unwrap();
    let installs = |archive: &Path| {
        let mut command = Command::new(krew.trim());
        command
            .args(["install", "--manifest"])
            .arg(RELEASE.path("krew.yaml"))
            .arg("--archive")
            .arg(archive)
            .env("KREW_ROOT", root.path())
            .env("KREW_NO_UPGRADE_CHECK", "1");
        command
    };
    let changed = root.path().join("changed.tar.gz");
    let mut bytes = fs::read(archive()).unwrap();
    bytes.push(0);
    fs::write(&changed, bytes).unwrap();
    let words = refusal(&mut installs(&changed));
    assert!(words.contains("checksum"), "{words}");

    run(&mut installs(&archive()));
    let plugin = root.path().join("bin/kubectl-pullcred");
    assert_eq!(run(Command::new(&plugin).arg("--version")), format!("pullcred {VERSION}\n"));
    let help = run(Command::new(&plugin).arg("--help"));
    assert!(help.contains("kubectl pullcred"), "{help}");
}

#[test]
fn an_archive_has_the_program_its_completions_and_its_manual() {
    let listing = run(Command::new("tar").args(["--list", "--gzip", "--file"]).arg(archive()));
    for wanted in [
        "LICENSE",
        "completions/pullcred.bash",
        "completions/pullcred.fish",
        "completions/pullcred.zsh",
        "man/pullcred.1",
        "man/pullcred-webhook.1",
        "pullcred",
    ] {
        assert!(listing.lines().any(|line| line == wanted), "no {wanted} in {listing}");
    }
}

/// A release's chart needs no value for the image, and no tag that somebody moves changes what it installs.
#[test]
fn the_chart_names_the_image_of_the_release_by_its_digest() {
    let helm = run(&mut script("tests/cluster/helm/binary.sh"));
    let chart = RELEASE.path(&format!("pullcred-{VERSION}.tgz"));
    let rendered = run(Command::new(helm.trim()).args(["template", "pullcred"]).arg(chart));
    let digest = RELEASE.text("image-digest.txt");
    let image = format!("{IMAGE}:{VERSION}@{}", digest.trim());
    assert!(rendered.contains(&format!("image: \"{image}\"")), "{image} is not there");

    let layout = tempfile::tempdir().unwrap();
    let archive = RELEASE.path(&format!("pullcred_{VERSION}_image.tar"));
    run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(layout.path()));
    let index: Value =
        serde_json::from_slice(&fs::read(layout.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], digest.trim());
}

#[test]
fn the_notes_are_those_of_the_changelog() {
    let folder = tempfile::tempdir().unwrap();
    let changelog = folder.path().join("CHANGELOG.md");
    fs::write(&changelog, "# Changelog\n\n## Unreleased: 0.3.0\n\nthird\n\n## 0.2.0 - 2026-01-01\n\n### Added\n\nsecond\n\n## 0.1.0\n\n").unwrap();
    let notes = |version: &str| {
        let mut command = script("release/notes.sh");
        command.arg(version).arg(&changelog);
        command
    };
    assert_eq!(run(&mut notes("0.3.0")).trim(), "third");
    assert_eq!(run(&mut notes("0.2.0")).trim(), "### Added\n\nsecond");
    for version in ["0.1.0", "0.2", "0.4.0"] {
        assert!(refusal(&mut notes(version)).contains("has no section"), "{version}");
    }
}

#[test]
fn what_is_no_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().to_str().unwrap();
    let new = folder.path().join("new");
    let new = new.to_str().unwrap();
    for (arguments, words) in [
        (&["0.0.9", IMAGE, new][..], "the version in Cargo.toml is not 0.0.9"),
        (&[VERSION, "pullcred", new], "pullcred is no REGISTRY/REPOSITORY"),
        (&[VERSION, IMAGE, there], "is there already"),
        (&[VERSION], "usage: "),
    ] {
        let refusal = refusal(script("release/make.sh").args(arguments));
        assert!(refusal.contains(words), "{arguments:?}: {refusal}");
        assert!(!Path::new(new).exists());
    }
    let refusal = refusal(script("image/binary.sh").arg("riscv64"));
    assert!(refusal.starts_with("usage: "), "{refusal}");
}
