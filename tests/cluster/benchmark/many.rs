//! Ten thousand namespaces with three copies each.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::{
    Outcome,
    cost::{Cpu, Memory},
    home::{FIRST_PASSWORD, Home, copy, namespace},
    observer::Observer,
    table::{Table, Times, milliseconds},
};
use crate::{pullcred::Pullcred, sandbox::Sandbox};

/// How much of everything.
pub(super) struct Sizes {
    namespaces: usize,
    logins: usize,
    foreign: usize,
    /// How many namespaces opt in while nothing else is to be done.
    alone: usize,
    /// How many opt in while a login is rotated.
    meanwhile: usize,
    /// After that a controller has done all that follows from something, and has no content left in memory.
    settled: Duration,
}

pub(super) const FULL: Sizes = Sizes {
    namespaces: 10_000,
    logins: 3,
    foreign: 20_000,
    alone: 200,
    meanwhile: 100,
    settled: Duration::from_secs(12),
};

pub(super) const SMALL: Sizes = Sizes {
    namespaces: 30,
    logins: 3,
    foreign: 20,
    alone: 3,
    meanwhile: 3,
    settled: Duration::from_millis(500),
};

/// Between two namespaces that opt in.
const APART: Duration = Duration::from_millis(400);

/// Measures all.
pub(super) async fn run(sandbox: &Sandbox, folder: &Path, sizes: &Sizes) -> Result<Outcome> {
    let home = Home::start(sandbox, folder, sizes.logins).await?;
    home.map(sizes.logins).await?;
    let spare = sizes.namespaces + sizes.alone + sizes.meanwhile;
    home.create_namespaces(0..sizes.namespaces, true).await?;
    home.create_namespaces(sizes.namespaces..spare, false).await?;
    home.create_foreign_secrets(sizes.foreign, sizes.namespaces).await?;
    home.until_quiet().await?;
    let mut table = Table::default();
    let observers = observers(&home, sizes).await?;
    let begin = Instant::now();
    let controller = home.controller().await?;
    for observer in &observers {
        observer.until_count(sizes.namespaces, None).await?;
    }
    let copies = sizes.namespaces * sizes.logins;
    let what = format!("first start: {copies} copies in {} namespaces, s", sizes.namespaces);
    table.row(&what, "–", format!("{:.0}", begin.elapsed().as_secs_f64()));
    let filling = Memory::of(controller.id())?;
    table.row("RSS at its end / peak, MiB", "≤ 32", filling.show());
    home.end(controller).await?;
    home.until_quiet().await?;
    let controller = restart(&home, sizes, &mut table).await?;
    let alone = sizes.namespaces..sizes.namespaces + sizes.alone;
    let cpu = Cpu::start(controller.id())?;
    let times = opt_in_each(&home, &observers[0], alone.clone()).await?;
    let own = cpu.spent()? / u32::try_from(sizes.alone)?;
    table.row(
        "label → first copy, p50 / p99 ms",
        "≤ 12 / ≤ 30",
        Times::new(times.clone()).p50_and_p99(),
    );
    let each = own / u32::try_from(sizes.logins)?;
    let measured = format!("{:.2} ({:.2} a copy)", milliseconds(own), milliseconds(each));
    table.row("own CPU for a new namespace, ms", "≤ 1", measured);
    rotation(&home, &observers, &controller, alone.end, sizes, &mut table).await?;
    let numbers = (0..spare).collect();
    let mut passwords = vec![FIRST_PASSWORD; sizes.logins];
    passwords[0] = "second";
    home.check_copies(&numbers, &passwords).await?;
    home.end(controller).await?;
    let times = Times::new(times);
    let (typical, long) = (times.quantile(0.5), times.quantile(0.99));
    let Sizes { namespaces, logins, foreign, .. } = sizes;
    let method = format!(
        "{namespaces} namespaces with {logins} copies each, {foreign} foreign Secrets of 10 KB; otherwise as above."
    );
    Ok(Outcome { method, table, typical, long })
}

async fn observers(home: &Home, sizes: &Sizes) -> Result<Vec<Observer>> {
    let client = home.client().await?;
    Ok((0..sizes.logins).map(|login| Observer::start(client.clone(), &copy(login))).collect())
}

/// A process that finds all in order.
async fn restart(home: &Home, sizes: &Sizes, table: &mut Table) -> Result<Pullcred> {
    let mark = home.audit_log().mark();
    let begin = k8s_openapi::jiff::Timestamp::now();
    let controller = home.controller().await?;
    sleep(sizes.settled).await;
    let requests = home.audit_log().since(mark)?;
    ensure!(requests.writes() == 0, "writes where all was in order:\n{}", requests.to_text());
    let quiet = requests.last_after(begin).as_secs_f64();
    let measured = format!("0; {quiet:.2} s, {} requests", requests.len());
    table.row("restart, all in order: writes; quiet after", "0; –", measured);
    let memory = Memory::of(controller.id())?;
    table.row("RSS after it, now / peak, MiB", "≤ 32", memory.show());
    Ok(controller)
}

/// Opts namespaces in, one after the other; how long each first copy took.
async fn opt_in_each(
    home: &Home,
    observer: &Observer,
    numbers: std::ops::Range<usize>,
) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for number in numbers {
        let name = namespace(number);
        home.opt_in(&name).await?;
        let begin = Instant::now();
        let seen = observer.until(&name, |_| true).await?;
        times.push(seen.at.saturating_duration_since(begin));
        sleep(APART.saturating_sub(begin.elapsed())).await;
    }
    Ok(times)
}

/// One of the logins is rotated while namespaces opt in.
async fn rotation(
    home: &Home,
    observers: &[Observer],
    controller: &Pullcred,
    count: usize,
    sizes: &Sizes,
    table: &mut Table,
) -> Result<()> {
    let old = observers[0].content(&namespace(0));
    let (own, api_server) = (Cpu::start(controller.id())?, Cpu::start(home.api_server())?);
    home.rotate(0, "second").await?;
    let begin = Instant::now();
    let newcomers = count..count + sizes.meanwhile;
    let times = Times::new(opt_in_each(home, &observers[0], newcomers.clone()).await?);
    observers[0].until_count(newcomers.end, old.as_deref()).await?;
    let end = observers[0].last_of((0..count).map(namespace));
    sleep(sizes.settled).await;
    let (own, api_server) = (own.spent()?, api_server.spent()?);
    for number in newcomers {
        let events = observers[0].seen(&namespace(number)).map_or(0, |it| it.events);
        ensure!(events == 1, "a new namespace was given the old login first");
    }
    let took = end.map_or(Duration::ZERO, |end| end.saturating_duration_since(begin));
    let what = format!("rotation of one login, {count} copies, s");
    table.row(&what, "≤ 60", format!("{:.1}", took.as_secs_f64()));
    let measured = format!("{}; all", times.p50_and_max());
    table.row("a new namespace meanwhile, p50 / max s; has the new login", "≤ 0.4; all", measured);
    let measured = format!("{:.1} / {:.1}", own.as_secs_f64(), api_server.as_secs_f64());
    table.row("CPU of the rotation, own / API server, s", "–", measured);
    let memory = Memory::of(controller.id())?;
    table.row("RSS after it, now / peak, MiB", "≤ 32", memory.show());
    Ok(())
}
