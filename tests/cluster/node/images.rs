//! Images, made here: a program that needs no other file, in an image by the project's own script.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use crate::process::Process;

/// To compile one small program, or to pack a large one.
const LIMIT: Duration = Duration::from_secs(120);

/// What containers run. It waits for its end; told to `find` a file it ends at once, well if there is
/// one.
const PROGRAM: &str = r#"
fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("find") {
        let found = arguments.next().is_some_and(|path| std::fs::exists(path).unwrap_or(false));
        std::process::exit(if found { 0 } else { 1 });
    }
    loop {
        std::thread::park();
    }
}
"#;

/// Compiles [`PROGRAM`] for an image without a loader.
pub(crate) async fn idle_program(folder: &Path) -> Result<PathBuf> {
    let (source, program) = (folder.join("idle.rs"), folder.join("idle"));
    std::fs::write(&source, PROGRAM)?;
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc
        .args(["--edition=2024", "-Copt-level=s", "-Cstrip=symbols", "-Cpanic=abort"])
        .args(["-Ctarget-feature=+crt-static", "-o"])
        .args([&program, &source]);
    Process::run("rustc", &mut rustc, folder, LIMIT).await?;
    Ok(program)
}

/// Packs `program` as the image `reference`, whose content no other reference has, into an archive in
/// `folder`.
pub(crate) async fn pack(program: &Path, reference: &str, folder: &Path) -> Result<PathBuf> {
    let archive = folder.join(format!("{}.tar", reference.replace(['/', ':'], "-")));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/build.sh");
    let mut command = Command::new(script);
    // The revision is a label of the image. Time and revision of the commit would take a repository.
    command
        .args(["--name", reference])
        .args([&archive, program])
        .envs([("SOURCE_DATE_EPOCH", "1700000000"), ("REVISION", reference)]);
    Process::run("pack", &mut command, folder, LIMIT).await?;
    Ok(archive)
}
