//! A thousand namespaces with a copy each.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use k8s_openapi::jiff::Timestamp;
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
    /// How many of them are opted in when a login is rotated.
    opted_in: usize,
    /// How many of these opt in one after the other.
    alone: usize,
    /// How many more opt in while a login is rotated.
    meanwhile: usize,
    /// Secrets of others.
    foreign: usize,
    /// Copies that somebody edits, and as many that somebody deletes.
    damaged: usize,
    /// Namespaces that are created together with a Pod.
    applied: usize,
    /// Logins in the last mapping.
    logins: usize,
    /// After that a controller has done all that follows from something.
    settled: Duration,
    /// After that it has no content left in memory.
    wiped: Duration,
}

pub(super) const FULL: Sizes = Sizes {
    namespaces: 1450,
    opted_in: 1000,
    alone: 200,
    meanwhile: 20,
    foreign: 5000,
    damaged: 20,
    applied: 200,
    logins: 10,
    settled: Duration::from_secs(2),
    wiped: Duration::from_secs(12),
};

pub(super) const SMALL: Sizes = Sizes {
    namespaces: 60,
    opted_in: 40,
    alone: 5,
    meanwhile: 3,
    foreign: 20,
    damaged: 2,
    applied: 3,
    logins: 3,
    settled: Duration::from_millis(500),
    wiped: Duration::ZERO,
};

/// What somebody who watches sees of an idle controller.
const IDLE: Duration = Duration::from_millis(50);
/// Between two namespaces that opt in while a login is rotated.
const APART: Duration = Duration::from_millis(200);

const METHOD: &str = "\
Copies of a login on a real control plane (kube-apiserver, etcd without fsync, controller manager and scheduler, all on this \
machine), as the chart installs the controller: a release build, a ServiceAccount with the chart's rights and no others. Times are \
from the API server's answer to the cause until a watch of the copies shows the effect; requests and writes are those in the API \
server's audit log; processor time and memory are those in /proc.";

/// A cluster with a controller, and what it should have by now.
struct Run<'a> {
    home: Home,
    observer: Observer,
    sizes: &'a Sizes,
    opted_in: BTreeSet<usize>,
    password: &'static str,
    logins: usize,
    table: Table,
}

/// Measures all.
pub(super) async fn run(sandbox: &Sandbox, folder: &Path, sizes: &Sizes) -> Result<Outcome> {
    let (home, at_first) = prepare(sandbox, folder, sizes).await?;
    let observer = Observer::start(home.client().await?, &copy(0));
    let table = Table::default();
    let opted_in = (0..at_first).collect();
    let password = FIRST_PASSWORD;
    let mut run = Run { home, observer, sizes, opted_in, password, logins: 1, table };
    let controller = run.fill().await?;
    let alone = run.one_after_the_other(&controller).await?;
    let controller =
        run.restart(controller, "restart, all in order", "0; ≤ 0.5 s, ≤ 12 requests").await?;
    run.rotation(&controller).await?;
    run.damage().await?;
    run.with_a_pod().await?;
    run.more_logins().await?;
    let what = format!("restart with {} logins", run.logins);
    let controller = run.restart(controller, &what, "0; ≤ 3 s").await?;
    run.home.end(controller).await?;
    let Sizes { namespaces, opted_in, foreign, .. } = sizes;
    let method = format!(
        "{METHOD} {namespaces} namespaces, {opted_in} of them opted in, and {foreign} foreign Secrets of 10 KB."
    );
    let (typical, long) = (alone.quantile(0.5), alone.quantile(0.99));
    Ok(Outcome { method, table: run.table, typical, long })
}

/// Everything but the controller; and how many namespaces are opted in at first.
async fn prepare(sandbox: &Sandbox, folder: &Path, sizes: &Sizes) -> Result<(Home, usize)> {
    let home = Home::start(sandbox, folder, sizes.logins).await?;
    home.map(1).await?;
    let at_first = sizes.opted_in - sizes.alone;
    home.create_namespaces(0..at_first, true).await?;
    home.create_namespaces(at_first..sizes.namespaces, false).await?;
    home.create_foreign_secrets(sizes.foreign, sizes.namespaces).await?;
    home.until_quiet().await?;
    Ok((home, at_first))
}

impl Run<'_> {
    async fn check(&self) -> Result<()> {
        let mut passwords = vec![FIRST_PASSWORD; self.logins];
        passwords[0] = self.password;
        self.home.check_copies(&self.opted_in, &passwords).await
    }

    /// The first start of a controller.
    async fn fill(&mut self) -> Result<Pullcred> {
        let begin = Instant::now();
        let count = self.opted_in.len();
        let controller = self.home.controller().await?;
        let end = self.observer.until_count(count, None).await?;
        self.check().await?;
        let measured = format!("{:.1}", (end - begin).as_secs_f64());
        self.table.row(&format!("first start: {count} copies, s"), "–", measured);
        sleep(self.sizes.settled).await;
        Ok(controller)
    }

    /// Namespaces that opt in one after the other, with nothing else to do.
    async fn one_after_the_other(&mut self, controller: &Pullcred) -> Result<Times> {
        let (process, mark) = (controller.id(), self.home.audit_log().mark());
        let cpu = Cpu::start(process)?;
        let numbers = self.sizes.opted_in - self.sizes.alone..self.sizes.opted_in;
        let count = numbers.len();
        let times = Times::new(self.opt_in_each(numbers, IDLE).await?);
        let own = cpu.spent()? / u32::try_from(count)?;
        let writes = self.home.audit_log().since(mark)?.writes();
        ensure!(writes == count, "{writes} writes for {count} copies");
        self.check().await?;
        self.table.row("label → copy, idle, p50 / p99 ms", "≤ 12 / ≤ 30", times.p50_and_p99());
        self.table.row(
            "own CPU for a new namespace, ms",
            "≤ 1",
            format!("{:.2}", milliseconds(own)),
        );
        self.table.row("writes per copy, new", "1", "1");
        Ok(times)
    }

    /// Opts namespaces in, one after the other, and answers how long each copy took.
    async fn opt_in_each(
        &mut self,
        numbers: Range<usize>,
        pause: Duration,
    ) -> Result<Vec<Duration>> {
        self.each(numbers, pause, async |home, number| home.opt_in(&namespace(number)).await).await
    }

    /// Makes new opted-in namespaces by `make`, one after the other, and answers how long the first copy of each took.
    async fn each(
        &mut self,
        numbers: Range<usize>,
        pause: Duration,
        make: impl AsyncFn(&Home, usize) -> Result<()>,
    ) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for number in numbers {
            make(&self.home, number).await?;
            let begin = Instant::now();
            let seen = self.observer.until(&namespace(number), |_| true).await?;
            times.push(seen.at.saturating_duration_since(begin));
            self.opted_in.insert(number);
            sleep(pause.saturating_sub(begin.elapsed())).await;
        }
        Ok(times)
    }

    /// A login is rotated while namespaces opt in.
    async fn rotation(&mut self, controller: &Pullcred) -> Result<()> {
        sleep(self.sizes.wiped).await;
        let (process, api_server) = (controller.id(), self.home.api_server());
        let idle = Memory::of(process)?;
        let (count, old) = (self.sizes.opted_in, self.observer.content(&namespace(0)));
        let mark = self.home.audit_log().mark();
        let (own, api_servers) = (Cpu::start(process)?, Cpu::start(api_server)?);
        self.password = "second";
        self.home.rotate(0, self.password).await?;
        let begin = Instant::now();
        let newcomers = count..count + self.sizes.meanwhile;
        let times = Times::new(self.opt_in_each(newcomers.clone(), APART).await?);
        self.observer.until_count(newcomers.end, old.as_deref()).await?;
        let end = self.observer.last_of((0..count).map(namespace));
        sleep(self.sizes.settled).await;
        let (own, api_servers) = (own.spent()?, api_servers.spent()?);
        let writes = self.home.audit_log().since(mark)?.writes();
        self.check().await?;
        for number in newcomers.clone() {
            let events = self.observer.seen(&namespace(number)).map_or(0, |it| it.events);
            ensure!(events == 1, "a new namespace was given the old login first");
        }
        let took = end.map_or(Duration::ZERO, |end| end.saturating_duration_since(begin));
        let memory = Memory::of(process)?;
        let table = &mut self.table;
        table.row(
            &format!("{count} copies rotated, s"),
            "≤ 6",
            format!("{:.1}", took.as_secs_f64()),
        );
        table.row(
            "a new namespace meanwhile, p50 / max s; has the new login",
            "≤ 0.05 / ≤ 0.4; all",
            format!("{}; all {}", times.p50_and_max(), newcomers.len()),
        );
        #[expect(clippy::cast_precision_loss, reason = "there are few of them")]
        let each = writes as f64 / newcomers.end as f64;
        table.row("writes per copy, rotated", "1", format!("{each:.3}"));
        let (own, api_servers) = (own.as_secs_f64(), api_servers.as_secs_f64());
        let measured = format!("{own:.2} / {api_servers:.1}");
        table.row("CPU of the rotation, own / API server, s", "≤ 0.7 / ≤ 4", measured);
        table.row("RSS idle / peak, MiB", "≤ 14 / ≤ 16", memory.show_with_idle(idle));
        Ok(())
    }

    /// Copies are edited and deleted by somebody else.
    async fn damage(&mut self) -> Result<()> {
        let (mut edited, mut deleted) = (Vec::new(), Vec::new());
        for number in 0..2 * self.sizes.damaged {
            let name = namespace(number);
            let events = self.observer.seen(&name).map_or(0, |it| it.events);
            let edit = number % 2 == 0;
            if edit {
                self.home.edit_copy(&name).await?;
            } else {
                self.home.delete_copy(&name).await?;
            }
            let begin = Instant::now();
            // The first event is the damage.
            let repaired = self.observer.until(&name, |it| it.events == events + 2).await?;
            let times = if edit { &mut edited } else { &mut deleted };
            times.push(repaired.at.saturating_duration_since(begin));
        }
        sleep(self.sizes.settled).await;
        self.check().await?;
        let measured = |times| Times::new(times).p50_and_max();
        self.table.row("a copy edited, p50 / max s", "≤ 0.5", measured(edited));
        self.table.row("a copy deleted, p50 / max s", "≤ 0.5", measured(deleted));
        Ok(())
    }

    /// A namespace and a Pod in one apply.
    async fn with_a_pod(&mut self) -> Result<()> {
        let (mut times, mut earlier) = (Vec::new(), 0);
        let numbers = self.sizes.namespaces..self.sizes.namespaces + self.sizes.applied;
        for number in numbers {
            let name = namespace(number);
            self.home.create_namespace(number, true).await?;
            let created = Instant::now();
            self.home.create_pod(&name).await?;
            let pod_created = Instant::now();
            let copied = self.observer.until(&name, |_| true).await?.at;
            self.opted_in.insert(number);
            times.push(copied.saturating_duration_since(created));
            earlier += usize::from(copied <= pod_created);
        }
        self.check().await?;
        let times = Times::new(times);
        let measured = format!("{}; {earlier} of {}", times.p50_and_p99(), self.sizes.applied);
        self.table.row(
            "namespace and Pod in one apply: namespace → copy, p50 / p99 ms; copy before the Pod is created",
            "≤ 12 / ≤ 30; all",
            measured,
        );
        Ok(())
    }

    /// The mapping gets more logins, each with a copy in every namespace.
    async fn more_logins(&mut self) -> Result<()> {
        self.logins = self.sizes.logins;
        let last = Observer::start(self.home.client().await?, &copy(self.logins - 1));
        let begin = Instant::now();
        self.home.map(self.logins).await?;
        let newcomers = self.sizes.namespaces + self.sizes.applied;
        let newcomers = newcomers..newcomers + self.sizes.meanwhile;
        let times = Times::new(
            self.each(newcomers, 2 * APART, async |home, number| {
                home.create_namespace(number, true).await
            })
            .await?,
        );
        let end = last.until_count(self.opted_in.len(), None).await?;
        sleep(self.sizes.settled).await;
        self.check().await?;
        let copies = (self.logins - 1) * self.opted_in.len();
        let measured = format!("{:.1}", (end - begin).as_secs_f64());
        self.table.row(&format!("{copies} more copies by a new mapping, s"), "–", measured);
        let what = "a new namespace meanwhile, to its first copy, p50 / max s";
        self.table.row(what, "≤ 0.05 / ≤ 0.4", times.p50_and_max());
        Ok(())
    }

    /// Another process, that finds all in order.
    async fn restart(&mut self, controller: Pullcred, what: &str, goal: &str) -> Result<Pullcred> {
        self.home.end(controller).await?;
        self.home.until_quiet().await?;
        let (mark, begin) = (self.home.audit_log().mark(), Timestamp::now());
        let controller = self.home.controller().await?;
        sleep(self.sizes.settled * 2).await;
        let requests = self.home.audit_log().since(mark)?;
        let writes = requests.writes();
        ensure!(writes == 0, "{what}: {writes} writes:\n{}", requests.to_text());
        self.check().await?;
        let quiet = requests.last_after(begin).as_secs_f64();
        let measured = format!("0; {quiet:.2} s, {} requests", requests.len());
        self.table.row(&format!("{what}: writes; quiet after"), goal, measured);
        let memory = Memory::of(controller.id())?;
        let copies = self.logins * self.opted_in.len();
        let what = format!("RSS after it with {copies} copies, now / peak, MiB");
        self.table.row(&what, "–", memory.show());
        Ok(controller)
    }
}
