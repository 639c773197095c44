//! The roles of the one binary, and the only place that knows exit codes: 0 fine, 1 failure, 2 usage or configuration.

use std::{
    env,
    io::{self, BufWriter, Write},
    process::ExitCode,
    time::SystemTime,
};

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;
use clap::CommandFactory;
use pullcred::{
    allocator,
    cli::{Cli, Command, ControllerArgs, CredentialsArgs, PluginsArgs, ProbeArgs, WebhookArgs},
    commands::{self, Exit, Failure, PrintableLines, Streams, status::Around},
    controller::{self, Controller},
    errors::with_causes,
    fetch, privacy,
    shutdown::Signals,
    supervise::Supervisor,
    telemetry::{self, LogError, Telemetry},
    webhook::{StartError, Webhook},
};
use tracing::{Level, enabled, error, warn};

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // First of all, since it starts the program again.
    let allocator = allocator::give_back_what_is_freed();
    let Cli { log, command } = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let supervisor = Supervisor::default();
    let running = supervisor.guard("log");
    let telemetry = match telemetry::init(&log.log, log.log_format, running) {
        Ok(telemetry) => telemetry,
        Err(error @ LogError::Thread(_)) => return fail(FAILURE, &error.into()),
        Err(error) => return fail(USAGE, &error.into()),
    };
    if let Err(error) = allocator {
        warn!(%error, "cannot configure the allocator: memory use may exceed the documented bound");
    }
    if let Err(error) = privacy::keep_memory_private() {
        warn!(%error, "core dumps may contain memory of this process");
    }
    let runs_long =
        matches!(command, Command::Controller(_) | Command::Plugins(_) | Command::Webhook(_));
    let result = match command {
        Command::Check(args) => run(|it| commands::check::run(&args.into_options(), it)),
        Command::Completions(args) => {
            run(|it| commands::shell::completions(Cli::command(), args.shell, it))
        }
        Command::Controller(args) => controller(args, &telemetry, supervisor).map(|()| Exit::Fine),
        Command::Credentials(args) => {
            credentials(args, &telemetry, supervisor).map(|()| Exit::Fine)
        }
        Command::Explain(args) => run(|it| commands::explain::run(&args.into_options(), it)),
        Command::Inject(args) => run(|it| commands::inject::run(&args.into_options(), it)),
        Command::Man(args) => {
            run(|it| commands::shell::man(Cli::command(), args.dir.as_deref(), it))
        }
        Command::Plugins(args) => plugins(&args, supervisor).map(|()| Exit::Fine),
        Command::Policy(args) => run(|it| commands::policy::run(&args.into_options(), it)),
        Command::Secret(args) => run(|it| commands::secret::run(&args.into_options()?, it)),
        Command::Status(args) => run(|it| {
            let program = Cli::program(env::args_os().next().as_deref());
            let around = Around { now: SystemTime::now(), width: columns(), program };
            commands::status::run(&args.into_options(), around, it)
        }),
        Command::Webhook(args) => webhook(args, &telemetry, supervisor).map(|()| Exit::Fine),
    };
    let logged = match &result {
        Err(error) if runs_long && enabled!(Level::ERROR) => {
            error!(error = with_causes(error.as_ref()), "cannot start or continue");
            true
        }
        _ => false,
    };
    drop(telemetry);
    let fail = |code, error: &anyhow::Error| {
        if logged { ExitCode::from(code) } else { fail(code, error) }
    };
    match result {
        Ok(Exit::Fine) => ExitCode::SUCCESS,
        Ok(Exit::Findings) => ExitCode::from(FAILURE),
        Err(error) if error.is::<StartError>() || error.is::<controller::StartError>() => {
            fail(USAGE, &error)
        }
        Err(error) => match error.downcast_ref::<Failure>() {
            Some(failure) if failure.is_broken_pipe() => ExitCode::from(FAILURE),
            Some(failure) if failure.is_usage() => fail(USAGE, &error),
            _ => fail(FAILURE, &error),
        },
    }
}

/// Runs a command on the streams of the process.
fn run(command: impl FnOnce(&mut Streams<'_>) -> Result<Exit, Failure>) -> anyhow::Result<Exit> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    let colour = AutoStream::choice(stdout.get_ref()) != ColorChoice::Never;
    let mut streams = Streams {
        stdin: &mut io::stdin().lock(),
        stdout: &mut stdout,
        stderr: &mut PrintableLines(io::stderr()),
        colour,
    };
    let exit = command(&mut streams)?;
    stdout.flush().map_err(Failure::from)?;
    Ok(exit)
}

/// How many columns a line of standard output has: those of `COLUMNS`, else of the terminal, else 80.
fn columns() -> usize {
    let set = env::var("COLUMNS").ok().and_then(|it| it.parse().ok()).filter(|it| *it > 0);
    let terminal = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|it| *it > 0)
    };
    set.or_else(terminal).unwrap_or(80)
}

fn webhook(args: WebhookArgs, telemetry: &Telemetry, supervisor: Supervisor) -> anyhow::Result<()> {
    let (options, workers) = args.into_options();
    if options.reports {
        install_crypto_provider()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let signals = Signals::catch().context("cannot catch signals")?;
        let webhook = Webhook::bind(options, telemetry.dropped())?;
        Ok(webhook.serve(signals, supervisor).await?)
    })
}

fn credentials(
    args: CredentialsArgs,
    telemetry: &Telemetry,
    supervisor: Supervisor,
) -> anyhow::Result<()> {
    let options = args.into_options();
    controller_runtime()?.block_on(async {
        let signals = Signals::catch().context("cannot catch signals")?;
        let controller =
            controller::credentials::Controller::bind(options, telemetry.dropped()).await?;
        Ok(controller.serve(signals, supervisor).await?)
    })
}

/// Runs plugins until a signal arrives.
fn plugins(args: &PluginsArgs, mut supervisor: Supervisor) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::catch().context("cannot catch signals")?;
        tokio::select! {
            ended = fetch::plugins::serve(&args.socket, &args.dir) => {
                ended.with_context(|| format!("cannot serve at {}", args.socket.display()))
            }
            ended = supervisor.task_ended() => Err(ended.into()),
            _ = signals.next() => Ok(()),
        }
    })
}

fn controller(
    args: ControllerArgs,
    telemetry: &Telemetry,
    supervisor: Supervisor,
) -> anyhow::Result<()> {
    controller_runtime()?.block_on(async {
        match args {
            ControllerArgs::Run(args) => {
                let signals = Signals::catch().context("cannot catch signals")?;
                let options = args.into_options();
                let controller = Controller::bind(options, telemetry.dropped()).await?;
                Ok(controller.serve(signals, supervisor).await?)
            }
            ControllerArgs::Publish(args) => {
                let (names, timeout) = args.into_options();
                let objects = controller::objects(names).await?;
                Ok(controller::publish(&objects, timeout).await?)
            }
            ControllerArgs::Probe(args) => {
                let cluster = controller::api_server().await?;
                let ProbeArgs { namespace, pod, image } = &args;
                Ok(controller::probe(&cluster, namespace, pod, image).await?)
            }
            ControllerArgs::Unregister(args) => {
                let cluster = controller::api_server().await?;
                Ok(controller::unregister(&cluster, &args.webhook_config).await?)
            }
        }
    })
}

/// One provider for all TLS of a process that calls the API server: a second one would mean that a dependency brought its
/// own.
fn install_crypto_provider() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another crypto provider is installed: this is a bug"))
}

/// A runtime for what calls the API server.
fn controller_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    install_crypto_provider()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    // `eprintln!` would panic if standard error is closed; the exit code is enough then.
    let _ = writeln!(PrintableLines(io::stderr()), "pullcred: {}", with_causes(error.as_ref()));
    ExitCode::from(code)
}
