//! What admission, copies of logins and reports cost, and how long they take, on a real API server.
//!
//! `cargo bench --test cluster` measures and prints the tables with the method; a test run does the same with small numbers and
//! prints nothing, so that what it checks of the work is checked: no copy with another content, no write too many. Numbers
//! never fail a run.
//!
//! | module | what it is |
//! |---|---|
//! | [`admission`] | the measurement of Pods' creation, through the API server |
//! | [`home`] | the cluster that is measured with copies and reports |
//! | [`copies`], [`many`] | the measurements: with a thousand namespaces, and with ten thousand |
//! | [`reports`] | the measurement of reports, with ten thousand |
//! | [`pods`] | the measurement of the audit of Pods, with twenty thousand |
//! | [`observer`], [`audit`], [`cost`], [`proxy`] | what is measured with: a watch, the audit log, `/proc`, bytes |
//! | [`table`] | the numbers beside their goals |
//! | [`figures`] | the numbers for the documents |

mod admission;
mod audit;
mod copies;
mod cost;
#[path = "../../../benches/figures.rs"]
mod figures;
mod home;
mod many;
mod observer;
mod pods;
mod proxy;
mod reports;
mod table;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use libtest_mimic::{Failed, Measurement, Trial};

use self::table::Table;
use crate::{
    sandbox::Sandbox,
    scenarios::Slot,
    turns::{Company, Queue},
    version::{MUTATING_POLICIES, Selection},
};

/// What a benchmark came to.
struct Outcome {
    /// How it was measured.
    method: String,
    table: Table,
    /// A typical and a long time of what matters most, for the line of the run.
    typical: Duration,
    long: Duration,
}

/// The benchmarks, which wait for their turns in `queue`. Where they measure, those with ten thousand namespaces take many minutes
/// and run only with `--ignored`.
pub(crate) fn trials(selection: &mut Selection, queue: &mut Queue, measures: bool) -> Vec<Trial> {
    const ADMISSION: &str = "admission::through_the_api_server";
    let with_policies = selection.can_have(ADMISSION, MUTATING_POLICIES);
    let stage = selection.slot();
    let admission = trial(stage, queue, ADMISSION, async |sandbox, folder, test| {
        admission::run(sandbox, folder, if test { &admission::SMALL } else { &admission::FULL })
            .await
    });
    let copies = trial(stage, queue, "copies::thousand", async |sandbox, folder, test| {
        copies::run(sandbox, folder, if test { &copies::SMALL } else { &copies::FULL }).await
    });
    let many = trial(stage, queue, "copies::ten_thousand", async |sandbox, folder, test| {
        many::run(sandbox, folder, if test { &many::SMALL } else { &many::FULL }).await
    });
    let reports = trial(stage, queue, "reports::ten_thousand", async |sandbox, folder, test| {
        reports::run(sandbox, folder, if test { &reports::SMALL } else { &reports::FULL }).await
    });
    let mut trials =
        vec![copies, many.with_ignored_flag(measures), reports.with_ignored_flag(measures)];
    if with_policies {
        trials.insert(0, admission);
    }
    if measures {
        let pods = async |sandbox: &Sandbox, folder: &Path, _| pods::run(sandbox, folder).await;
        trials.push(trial(stage, queue, "pods::twenty_thousand", pods).with_ignored_flag(true));
    }
    trials
}

fn trial(
    stage: &Slot,
    queue: &mut Queue,
    name: &'static str,
    run: impl AsyncFnOnce(&Sandbox, &Path, bool) -> Result<Outcome> + Send + 'static,
) -> Trial {
    let stage = Arc::clone(stage);
    let ticket = queue.join(Company::Alone);
    Trial::bench(name, move |test| {
        let stage = stage.get().ok_or("there is no stage")?;
        let run = async |sandbox: &Sandbox, folder: &Path| run(sandbox, folder, test).await;
        let outcome = stage.measure(name, ticket, run).map_err(Failed::from)?;
        if !test {
            print(&outcome);
        }
        let Outcome { typical, long, .. } = outcome;
        let nanoseconds = |it: Duration| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX);
        let variance = nanoseconds(long.saturating_sub(typical));
        Ok(Some(Measurement { avg: nanoseconds(typical), variance }))
    })
}

#[expect(clippy::print_stdout, reason = "a benchmark's result, like that of the others")]
fn print(outcome: &Outcome) {
    println!("\n{}\n\n{}\n", outcome.method, outcome.table.to_markdown());
}
