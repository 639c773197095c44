//! Tests against a real control plane: etcd, kube-apiserver, kube-controller-manager and
//! kube-scheduler, started here, with pullcred registered as a webhook.
//!
//! | module | what it is |
//! |---|---|
//! | [`sandbox`] | namespaces of the run's own, in which this program executes itself again |
//! | [`programs`] | what is built for the runs before they enter the sandbox |
//! | [`version`] | the version of Kubernetes, and which scenarios an older one cannot have |
//! | [`process`] | a child with a log, limits on waiting, and a certain end |
//! | [`pki`], [`access`], [`account`] | certificates; kubeconfigs and clients for any user; a `ServiceAccount` |
//! | [`control_plane`] | the four Kubernetes processes |
//! | [`prometheus`] | a Prometheus with the chart's alerts |
//! | [`pullcred`], [`controller`], [`registration`] | the binary under test, and how a cluster is told of it |
//! | [`cluster`] | the control plane that scenarios share |
//! | [`node`] | the control plane that scenarios share with a node, which runs containers |
//! | [`setting`], [`stage`], [`turns`] | where they play, what is torn down, and when each plays |
//! | [`api`], [`namespace`], [`fixtures`], [`wait`], [`audit`] | the words that scenarios are written in |
//! | [`clouds`] | clouds that give logins for tokens of the API server |
//! | [`tls_server`], [`sidecar`], [`handshake`] | webhooks of somebody else; a caller of webhooks |
//! | [`scenarios`], [`report`] | the tests, and the table of what they read back |
//! | [`benchmark`] | what copies of logins cost; `cargo bench --test cluster` measures it |
//!
//! `cargo test --test cluster` runs them, `-- --list` names them, `-- NAME` runs some. The table of
//! a whole run without failure goes to `cluster-scenarios-VERSION.md` in cargo's folder for tests'
//! files; with `PULLCRED_TABLE=1` any run's table goes to stderr.

mod access;
mod account;
mod api;
mod audit;
mod benchmark;
#[cfg(test)]
#[path = "../support/clouds/mod.rs"]
mod clouds;
mod cluster;
mod control_plane;
mod controller;
mod fixtures;
mod handshake;
mod namespace;
mod node;
mod pki;
mod process;
mod programs;
mod prometheus;
mod pullcred;
mod registration;
mod report;
mod sandbox;
mod scenarios;
mod setting;
mod sidecar;
mod stage;
mod tls_server;
mod turns;
mod version;
mod wait;

use std::{
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Trial};

use crate::{
    sandbox::Sandbox,
    stage::Stage,
    turns::Queue,
    version::{Selection, Version},
};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        stage::say(&format!("cluster tests: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    let slot = Arc::new(OnceLock::new());
    let mut selection = Selection::new(&slot, Version::of_this_run()?);
    let mut queues = <[Queue; 3]>::default();
    let [control_plane, one_by_one, node] = &mut queues;
    let mut trials = scenarios::on_a_control_plane(&mut selection, control_plane);
    trials.extend(scenarios::on_a_control_plane_for_reports(&mut selection, one_by_one));
    trials.extend(benchmark::trials(&mut selection, one_by_one, arguments.bench));
    let node_trials = scenarios::on_a_node(&mut selection, node);
    let will_run = |trials: &[Trial]| {
        !arguments.list && trials.iter().any(|trial| !arguments.is_filtered_out(trial))
    };
    let with_node = will_run(&node_trials);
    if with_node || will_run(&trials) {
        let stage = Stage::new(Sandbox::enter(with_node)?, queues)?;
        slot.set(stage).ok().context("the stage was set already")?;
    }
    trials.extend(node_trials);
    selection.into_left_out().iter().for_each(|line| stage::say(line));
    // Each waits on a thread of its own until the stage lets it play.
    arguments.test_threads.get_or_insert(trials.len());
    let conclusion = libtest_mimic::run(&arguments, trials);
    let slot =
        Arc::into_inner(slot).context("the run is over, and something still has its stage")?;
    if let Some(stage) = slot.into_inner() {
        stage.close(&conclusion)?;
    }
    Ok(conclusion.exit_code())
}
