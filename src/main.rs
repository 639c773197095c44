//! The roles of the one binary, and the only place that knows exit codes: 0 fine, 1 failure, 2 usage or configuration.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use pullcred::{
    cli::{Cli, Command, WebhookArgs},
    server::{StartError, Webhook},
    shutdown::Signals,
    telemetry::{self, Telemetry},
};

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let Cli { log, command } = Cli::parse();
    let telemetry = match telemetry::init(&log.log, log.log_format) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(USAGE, &error.into()),
    };
    let result = match command {
        Command::Webhook(args) => webhook(args, &telemetry),
    };
    drop(telemetry);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<StartError>() => fail(USAGE, &error),
        Err(error) => fail(FAILURE, &error),
    }
}

fn webhook(args: WebhookArgs, telemetry: &Telemetry) -> anyhow::Result<()> {
    let (options, workers) = args.into_options();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let signals = Signals::catch().context("cannot catch signals")?;
        let webhook = Webhook::bind(options, telemetry.dropped()).await?;
        webhook.serve(signals).await.context("cannot serve")
    })
}

#[expect(clippy::print_stderr, reason = "the one line that a person or a Pod's log must show")]
fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("pullcred: {error:#}");
    ExitCode::from(code)
}
