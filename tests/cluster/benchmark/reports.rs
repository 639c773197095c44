//! What reports cost with ten thousand namespaces: the memory of the webhook that knows them and of the controller that writes them,
//! and what both ask of the API server.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    Outcome,
    audit::Requests,
    cost::{Cpu, Memory},
    home::{Home, copy},
    observer::Observer,
    proxy::Proxy,
    table::Table,
};
use crate::{
    pullcred::{Pullcred, get},
    sandbox::Sandbox,
    wait::until_within,
};

/// How much of everything.
pub(super) struct Sizes {
    namespaces: usize,
    logins: usize,
    /// For so long nothing changes, and is measured.
    idle: Duration,
    /// Without a write for so long, everything is written. Longer than a report waits for the next.
    settled: Duration,
}

pub(super) const FULL: Sizes = Sizes {
    namespaces: 10_000,
    logins: 3,
    idle: Duration::from_secs(60),
    settled: Duration::from_secs(12),
};

pub(super) const SMALL: Sizes = Sizes {
    namespaces: 30,
    logins: 3,
    idle: Duration::from_secs(2),
    settled: Duration::from_secs(4),
};

/// The first reports of all namespaces.
const FIRST: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(500);

/// The controller's way to the API server, and the webhook's.
struct Measured<'h> {
    home: &'h Home,
    sizes: &'h Sizes,
    controller: &'h Pullcred,
    to_controller: &'h Proxy,
    to_webhook: &'h Proxy,
}

/// Measures all.
pub(super) async fn run(sandbox: &Sandbox, folder: &Path, sizes: &Sizes) -> Result<Outcome> {
    let home = Home::start_with_reports(sandbox, folder, sizes.logins).await?;
    // One login comes later.
    home.map(sizes.logins - 1).await?;
    home.create_namespaces(0..sizes.namespaces, true).await?;
    home.until_quiet().await?;
    let mut table = Table::default();
    let to_controller = Proxy::start(home.address()?).await?;
    let to_webhook = Proxy::start(home.address()?).await?;
    let begin = Instant::now();
    let controller = home.controller_with_reports(to_controller.address()).await?;
    home.until_reports(sizes.namespaces, FIRST).await?;
    let first = begin.elapsed();
    settled(&home, &controller, sizes).await?;
    let what = format!("first start, copies and reports of {} namespaces, s", sizes.namespaces);
    table.row(&what, "–", format!("{:.0}", first.as_secs_f64()));
    table.row("controller's RSS then, now / peak, MiB", "–", Memory::of(controller.id())?.show());
    home.end(controller).await?;

    let without = home.controller().await?;
    sleep(sizes.settled).await;
    let row = "controller's RSS after a restart, without reports, now / peak, MiB";
    table.row(row, "≤ 32", Memory::of(without.id())?.show());
    home.end(without).await?;
    let mark = home.audit_log().mark();
    let controller = home.controller_with_reports(to_controller.address()).await?;
    settled(&home, &controller, sizes).await?;
    let requests = home.audit_log().since(mark)?;
    ensure!(reports(&requests) == 0, "writes where all was in order:\n{}", requests.to_text());
    let row = "controller's RSS after a restart, with reports, now / peak, MiB";
    table.row(row, "≤ 32", Memory::of(controller.id())?.show());
    table.row("reports written by it", "0", "0");

    let (to_controller, to_webhook) = (&to_controller, &to_webhook);
    let measured =
        Measured { home: &home, sizes, controller: &controller, to_controller, to_webhook };
    webhooks(&measured, &mut table).await?;
    home.end(controller).await?;
    let Sizes { namespaces, logins, .. } = sizes;
    let method = format!(
        "{namespaces} opted-in namespaces, {logins} logins with a copy in each; bytes are those of the connections, encrypted."
    );
    Ok(Outcome { method, table, typical: first, long: first })
}

/// The webhook beside one without reports, and what changes cost while it watches.
async fn webhooks(measured: &Measured<'_>, table: &mut Table) -> Result<()> {
    let Measured { home, sizes, controller, to_controller, to_webhook } = *measured;
    let without = home.webhook("webhook-without", None).await?;
    let begin = Instant::now();
    let with = home.webhook("webhook-with", Some(to_webhook.address())).await?;
    let all = u64::try_from(sizes.namespaces)?;
    until_within(FIRST, "knowledge of all namespaces", async || {
        Ok(with.metric("pullcred_reports_namespaces").await? == all
            && with.metric("pullcred_reports_fresh").await? == 1)
    })
    .await?;
    let knows = begin.elapsed();
    sleep(sizes.settled).await;
    let row = "webhook's RSS without reports, now / peak, MiB";
    table.row(row, "–", Memory::of(without.id())?.show());
    let row = "webhook's RSS with reports, now / peak, MiB";
    table.row(row, "≤ 6 more", Memory::of(with.id())?.show());
    let measured = format!("{:.1} s, {} KiB", knows.as_secs_f64(), to_webhook.bytes() / 1024);
    table.row("from its start until it knows all", "–", measured);

    let (mark, before) = (home.audit_log().mark(), (to_controller.bytes(), to_webhook.bytes()));
    let api_server = Cpu::start(home.api_server())?;
    sleep(sizes.idle).await;
    let requests = home.audit_log().since(mark)?;
    ensure!(reports(&requests) == 0, "writes where nothing changed:\n{}", requests.to_text());
    let spent = api_server.spent()?.as_millis();
    let seconds = sizes.idle.as_secs();
    let of_controller = to_controller.bytes() - before.0;
    let of_webhook = to_webhook.bytes() - before.1;
    let row = format!(
        "{seconds} s in which nothing changes: requests of the controller; bytes, its / the webhook's"
    );
    table.row(&row, "–", format!("{}; {of_controller} / {of_webhook}", requests.len()));
    table.row("the API server's own CPU meanwhile, ms", "–", spent.to_string());

    for (what, logins, others) in [
        ("a rule without a login more", sizes.logins - 1, 1),
        ("a login more, with a copy in each namespace", sizes.logins, 1),
    ] {
        let (mark, before) = (home.audit_log().mark(), (to_controller.bytes(), to_webhook.bytes()));
        let observer = Observer::start(home.client().await?, &copy(sizes.logins - 1));
        let begin = Instant::now();
        home.map_with(logins, others).await?;
        if logins == sizes.logins {
            observer.until_count(sizes.namespaces, None).await?;
        }
        settled(home, controller, sizes).await?;
        let took = begin.elapsed().saturating_sub(sizes.settled);
        let requests = home.audit_log().since(mark)?;
        let measured = format!(
            "{}; {} KiB / {} KiB; {:.0}",
            reports(&requests),
            (to_controller.bytes() - before.0) / 1024,
            (to_webhook.bytes() - before.1) / 1024,
            took.as_secs_f64(),
        );
        let row = format!("{what}: reports written; bytes, the controller's / the webhook's; s");
        table.row(&row, "–", measured);
    }
    let row = "webhook's RSS after these, now / peak, MiB";
    table.row(row, "≤ 6 more", Memory::of(with.id())?.show());
    let row = "controller's RSS after these, now / peak, MiB";
    table.row(row, "≤ 32", Memory::of(controller.id())?.show());
    for webhook in [without, with] {
        webhook.kill();
    }
    Ok(())
}

/// The requests that write reports.
fn reports(requests: &Requests) -> usize {
    requests.writes_of("/apis/pullcred.dev/")
}

/// Waits until the controller has written nothing for a while.
async fn settled(home: &Home, controller: &Pullcred, sizes: &Sizes) -> Result<()> {
    let mut last = (written(controller).await?, Instant::now());
    while last.1.elapsed() < sizes.settled {
        sleep(POLL).await;
        let now = written(controller).await?;
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    home.until_quiet().await
}

/// How often a controller has written a report or a copy, with any result.
async fn written(controller: &Pullcred) -> Result<u64> {
    let metrics = get(controller.admin(), "/metrics").await?;
    let names = ["pullcred_report_writes_total{", "pullcred_copy_writes_total{"];
    let series = metrics.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
    series
        .map(|line| {
            line.rsplit_once(' ').context("no value")?.1.parse::<u64>().context("no number")
        })
        .sum()
}

/// How many objects a list has, by one of them.
pub(super) fn count(list: &Value) -> usize {
    let items = list["items"].as_array().map_or(0, Vec::len);
    let more = list["metadata"]["remainingItemCount"].as_u64().unwrap_or_default();
    items + usize::try_from(more).unwrap_or_default()
}
