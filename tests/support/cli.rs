//! The real binary, run to its end.

use std::{
    io::{ErrorKind, Write},
    process::{Command, Stdio},
    thread,
};

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// All of it, for a snapshot.
    pub(crate) fn shown(&self) -> String {
        let Self { code, stdout, stderr } = self;
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        format!("{stdout}--- standard error\n{stderr}--- exit code\n{code}")
    }
}

/// The binary with these arguments, in the folder of the test data, and nothing of this process's environment that
/// could speak to it.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullcred"));
    command.args(args).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata"));
    for name in
        ["COLUMNS", "PULLCRED_CONFIG", "PULLCRED_LOG", "KUBECONFIG", "NO_COLOR", "CLICOLOR_FORCE"]
    {
        command.env_remove(name);
    }
    command
}

/// Runs the binary with these arguments and this standard input.
pub(crate) fn run(args: &[&str], stdin: &str) -> Run {
    output(&mut command(args), stdin)
}

/// Runs a command with this standard input.
pub(crate) fn output(command: &mut Command, stdin: &str) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || match pipe.write_all(stdin.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
            _ => {}
        });
        child.wait_with_output().unwrap()
    });
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
