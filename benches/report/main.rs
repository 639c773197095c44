//! Reads what `benches/run.sh` measured.
//!
//! | command | what it does |
//! |---|---|
//! | `report show DATA` | prints the tables and draws the pictures beside the file, as far as their parts were measured |
//! | `report docs DATA` | makes DATA the data of docs/performance.md, and rewrites its tables and pictures |
//! | `report compare OLD NEW [BOUND]` | compares two runs; exit code 1 if something is worse by more than BOUND (1.1) and the spread |

#[path = "mod.rs"]
mod report;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

#[expect(clippy::print_stderr, reason = "the error of a command")]
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = report::command::run(&arguments);
    match answer.and_then(|(code, text)| Ok((code, io::stdout().write_all(text.as_bytes())?))) {
        Ok((code, ())) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}
