//! The commands.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, ensure};

use super::{compare::compare, documents::rewritten, plots, run::Run, tables::SECTIONS};

const USAGE: &str = "usage: report show DATA | report docs DATA | report compare OLD NEW [BOUND from 1, such as 1.1]";

/// What a command prints, and its exit code.
pub(crate) type Answer = (u8, String);

/// Runs a command. An error is one of usage, or a file that is not what it should be.
pub(crate) fn run(arguments: &[&str]) -> Result<Answer> {
    match *arguments {
        ["show", data] => show(Path::new(data)),
        ["docs", data] => docs(Path::new(data)),
        ["compare", old, new] => compare_files(old, new, "1.1"),
        ["compare", old, new, bound] => compare_files(old, new, bound),
        _ => Err(anyhow::Error::msg(USAGE)),
    }
}

fn read(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Run::read(&text).with_context(|| path.display().to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}

fn show(data: &Path) -> Result<Answer> {
    let run = read(data)?;
    let mut text = String::new();
    for (name, section) in SECTIONS {
        let _ = match section(&run) {
            Ok(section) => writeln!(text, "{}\n", section.trim()),
            Err(error) => writeln!(text, "({name}: {error:#})\n"),
        };
    }
    let stem = data.file_stem().unwrap_or_default().to_string_lossy();
    for (name, picture) in plots::all(&run) {
        let Ok(picture) = picture else { continue };
        let path = data.with_file_name(format!("{stem}.{name}"));
        write(&path, &picture)?;
        let _ = writeln!(text, "{}", path.display());
    }
    Ok((0, text))
}

fn docs(data: &Path) -> Result<Answer> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let run = read(data)?;
    // All is made before anything is written: a run that lacks a part changes nothing.
    let page = docs.join("performance.md");
    let text = rewritten(&fs::read_to_string(&page)?, &run)?;
    let pictures = plots::all(&run).into_iter().map(|(name, picture)| Ok((name, picture?)));
    for (name, picture) in pictures.collect::<Result<Vec<_>>>()? {
        write(&docs.join("pictures").join(name), &picture)?;
    }
    write(&page, &text)?;
    write(&docs.join("performance.jsonl"), &fs::read_to_string(data)?)?;
    Ok((0, format!("{} has the figures of {}\n", page.display(), data.display())))
}

fn compare_files(old: &str, new: &str, bound: &str) -> Result<Answer> {
    let bound: f64 = bound.parse().context(USAGE)?;
    ensure!(bound >= 1.0 && bound.is_finite(), USAGE);
    let comparison = compare(&read(Path::new(old))?, &read(Path::new(new))?, bound)?;
    let (table, worse) = (comparison.table, comparison.worse);
    let text = format!("{table}\n{worse} worse by more than {bound} times and the spread\n");
    Ok((u8::from(worse > 0), text))
}
