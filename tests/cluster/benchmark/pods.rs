//! What the audit of Pods costs with twenty thousand of them: what it asks of the API server, how much memory it takes, and how
//! long.
//!
//! It begins ten minutes after the controller, so it is measured only, and not run with small numbers.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::{
    Outcome,
    cost::{Cpu, Memory},
    home::Home,
    proxy::Proxy,
    table::Table,
};
use crate::{pullcred::Pullcred, sandbox::Sandbox, wait::until_within};

const NAMESPACES: usize = 500;
/// Of each namespace: every second one lacks its Secret.
const PODS: usize = 40;
/// The first audits begin so long after the start. A little before, what the controller takes without them is measured.
const BEFORE: Duration = Duration::from_secs(590);
/// After the start, all have ended by then.
const LIMIT: Duration = Duration::from_secs(1800);
const POLL: Duration = Duration::from_millis(500);

/// Measures all.
pub(super) async fn run(sandbox: &Sandbox, folder: &Path) -> Result<Outcome> {
    let home = Home::start_with_reports(sandbox, folder, 1).await?;
    home.map(1).await?;
    home.create_namespaces(0..NAMESPACES, true).await?;
    let to_controller = Proxy::start(home.address()?).await?;
    let begin = Instant::now();
    let controller = home.controller_with_audit(to_controller.address()).await?;
    home.create_pods(NAMESPACES, PODS).await?;
    home.until_reports(NAMESPACES, LIMIT).await?;
    ensure!(begin.elapsed() < BEFORE, "the setup took longer than the first audits wait");
    sleep(BEFORE.saturating_sub(begin.elapsed())).await;
    ensure!(audits(&controller).await? == 0, "an audit before its time");

    let idle = Memory::of(controller.id())?;
    let (mark, bytes) = (home.audit_log().mark(), to_controller.bytes());
    let (own, api_server) = (Cpu::start(controller.id())?, Cpu::start(home.api_server())?);
    let first = async || Ok(audits(&controller).await? > 0);
    until_within(LIMIT, "the first audit", first).await?;
    let started = Instant::now();
    let all = u64::try_from(NAMESPACES)?;
    while audits(&controller).await? < all {
        ensure!(begin.elapsed() < LIMIT, "{} of {all}", audits(&controller).await?);
        sleep(POLL).await;
    }
    let took = started.elapsed();
    // The last reports follow within seconds.
    sleep(Duration::from_secs(5)).await;
    let (own, api_server) = (own.spent()?, api_server.spent()?);
    let lacking = controller.metric("pullcred_pods_without_secret").await?;
    ensure!(lacking == u64::try_from(NAMESPACES * PODS / 2)?, "{lacking} lack a Secret");
    let requests = home.audit_log().since(mark)?;
    let mut table = Table::default();
    let mut row = |what: &str, measured: String| table.row(what, "–", measured);
    row("from the first audit to the last, s", format!("{:.0}", took.as_secs_f64()));
    row("lists of Pods", requests.reads_of("/pods").to_string());
    row("reports written", requests.writes_of("/apis/pullcred.dev/").to_string());
    row("bytes between controller and API server, MiB", mebibytes(to_controller.bytes() - bytes));
    row("controller's RSS, now / peak, MiB", Memory::of(controller.id())?.show_with_idle(idle));
    row("controller's own CPU, ms", own.as_millis().to_string());
    row("the API server's own CPU, ms", api_server.as_millis().to_string());
    home.end(controller).await?;

    let mark = home.audit_log().mark();
    let controller = home.controller_with_audit(to_controller.address()).await?;
    sleep(Duration::from_secs(30)).await;
    let requests = home.audit_log().since(mark)?;
    let again = (requests.reads_of("/pods"), requests.writes_of("/apis/pullcred.dev/"));
    row(
        "30 s after a restart: lists of Pods, reports written",
        format!("{}, {}", again.0, again.1),
    );
    home.end(controller).await?;
    let method = format!(
        "{} Pods in {NAMESPACES} opted-in namespaces, half of them without their Secret; bytes are those of the connection, encrypted.",
        NAMESPACES * PODS,
    );
    Ok(Outcome { method, table, typical: took, long: took })
}

/// How many namespaces have been audited.
async fn audits(controller: &Pullcred) -> Result<u64> {
    controller.metric("pullcred_audits_total{result=\"success\"}").await
}

#[expect(clippy::cast_precision_loss, reason = "rounded for people")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
