//! A typo in a rotation, its correction, a registry that is down, and a password that is revoked: what registries are asked, what
//! becomes of copies, and what people see.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::day::{AGAIN, COPY, Day, LOGIN, NAMESPACES, SECRET, SOON};
use crate::{
    cluster::ReportsCluster,
    controller::Controller,
    fixtures::pod,
    pki::User,
    prometheus::{Monitoring, Prometheus, Targets},
    report::Report,
    scenarios::reports::{
        house::{self, HOME, Reader},
        kubectl::Transcript,
    },
    wait::{time_until, until},
};

/// The passwords, of which none may be shown anywhere.
const FIRST: &str = "canary-of-the-first";
const TYPO: &str = "canary-of-a-typo";
const SECOND: &str = "canary-of-the-second";
const THIRD: &str = "canary-of-the-third";
/// How often the controller crashes.
const CRASHES: usize = 4;

pub(crate) async fn story(cluster: Arc<ReportsCluster>) -> Result<Report> {
    let cluster = cluster.cluster();
    house::install_definitions(cluster.api()).await?;
    let day = Day::begin(&cluster, FIRST).await?;
    for password in [TYPO, SECOND, THIRD] {
        day.home.hide(password);
    }
    let off = without_the_flag(&day).await?;
    let begin = Instant::now();
    let controller = day.home.start("0", "3s").await?;
    let accepted = day.until_health(begin, SOON, "Accepted").await?;
    day.copied(begin, FIRST).await?;
    let reader = Reader::start(&cluster, "health", &day.mapping).await?;
    reader.until_fresh(true).await?;
    let mut transcript = Transcript::new(&cluster);
    let mut report = Report::new()
        .seen("without `--health`: requests to the registry", off)
        .seen("start with it: login accepted after", seconds(accepted));

    let typo;
    (report, typo) = mistyped(&day, &controller, &mut transcript, report).await?;
    report = away(&day, &controller, report).await?;
    let secret = day.home.says_nothing(&[&controller]).await?;
    controller.kill();
    let (controller, mut report) = revoked(&day, &mut transcript, report).await?;
    let host = day.registry.host();
    let text = transcript.into_text().replace(&host, "registry.example.com");
    insta::with_settings!({
        snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true,
    }, {
        insta::assert_snapshot!("story", text.replace(&typo, "0123456789ab"));
    });
    report = report.seen("passwords", secret);
    report = report.seen("passwords", day.home.says_nothing(&[&controller]).await?);
    let controller = crashes(&day, controller).await?;
    let (accepted, refused) = day.registry.tries();
    ensure!(!day.registry.is_locked(), "the account is locked after {refused} refusals");
    report = report.seen(
        format!(
            "{CRASHES} crashes after that: account of a registry that locks after five failures"
        ),
        format!("not locked; in the whole story {accepted} tries accepted, {refused} refused"),
    );
    reader.end(cluster.api()).await?;
    controller.kill();
    let off = turned_off(&day).await?;
    report = report.seen("without `--health` again: the report has no verdict after", seconds(off));
    day.home.end().await?;
    house::delete_definitions(cluster.api()).await?;
    house::clear(cluster.api(), &[&NAMESPACES[..], &[HOME, "team-new", "team-late"]].concat())
        .await?;
    Ok(report)
}

/// Without the flag again, no verdict stays that no check renews. The refusals do, which count tries.
async fn turned_off(day: &Day) -> Result<Duration> {
    let before = day.report().await?["status"]["health"].take();
    ensure!(before["verdict"] == "Refused", "{before}");
    let begin = Instant::now();
    let mut controller = day.home.spawn_with("off-again", "3s", &["--reports"]).await?;
    controller.ready().await?;
    let took = time_until(begin, SOON, "end of the verdict", async || {
        let health = day.report().await?["status"]["health"].take();
        Ok(health["verdict"].is_null() && health["refusals"] == before["refusals"])
    });
    let took = took.await?;
    day.until_health(begin, SOON, "NotChecked").await?;
    // Where nothing is to be counted, nothing stays.
    let counts_nothing = json!({
        "verdict": "Accepted", "refusals": 0, "content": before["content"],
        "checkedAt": "2026-01-01T00:00:00Z", "nextCheckAt": "2026-01-01T00:30:00Z",
    });
    day.write_record(&counts_nothing).await?;
    time_until(Instant::now(), SOON, "end of the record", async || {
        Ok(day.report().await?["status"].get("health").is_none())
    })
    .await?;
    controller.kill();
    Ok(took)
}

/// Without the flag, copies are made and rotated, and the registry is not asked.
async fn without_the_flag(day: &Day) -> Result<usize> {
    let mut controller = day.home.spawn_with("off", "3s", &["--reports"]).await?;
    controller.ready().await?;
    day.copied(Instant::now(), FIRST).await?;
    day.rotate(TYPO).await?;
    day.copied(Instant::now(), TYPO).await?;
    day.rotate(FIRST).await?;
    day.copied(Instant::now(), FIRST).await?;
    controller.kill();
    let requests = day.registry.requests();
    ensure!(requests == 0, "{requests} requests");
    Ok(requests)
}

/// A typo in a rotation: not one copy is changed. A person overrides it; a correction is copied. Answers what the report calls the
/// content with the typo, too.
async fn mistyped(
    day: &Day,
    controller: &Controller,
    transcript: &mut Transcript<'_>,
    report: Report,
) -> Result<(Report, String)> {
    let prometheus = watch(day, controller, "typo").await?;
    let before = day.versions().await?;
    let begin = Instant::now();
    day.rotate(TYPO).await?;
    let (note, noted) = day.until_event(begin, "LoginHeldBack", "copies stay as they are").await?;
    let held = day.until_metric(begin, controller, &held()).await?;
    let said = day.until_health(begin, SOON, "HeldBack").await?;
    let alert = prometheus.until_firing("PullcredLoginHeldBack").await?;
    let alerted = begin.elapsed();
    ensure!(alert.label("login") == LOGIN, "{alert:?}");

    let new = day.home.opted_in("team-new", &[]).await?;
    until("report of a namespace without its copy", async || {
        let report = house::report(day.home.api(), new.name()).await?.unwrap_or_default();
        let secret = &report["status"]["secrets"][0];
        Ok(secret["state"] == "Missing" && secret["reason"] == "LoginRefused")
    })
    .await?;
    day.until_copied("5/6").await?;
    transcript.about("A typo in a rotation");
    transcript.run("get loginreports")?;
    transcript
        .run(&format!("get events --namespace {HOME} --field-selector reason=LoginHeldBack"))?;
    transcript.run("get psr --namespace team-new")?;
    let refused = day.until_health(begin, AGAIN, "Refused").await?;
    ensure!(day.home.secret(&new, COPY).await?.is_none(), "a refused login was copied");
    let after = day.versions().await?;
    ensure!(before == after, "copies have changed: {before:?}, {after:?}");

    let content = content(day).await?;
    let command = format!("annotate --overwrite secret {SECRET} pullcred.dev/accept={content}");
    ensure!(note.contains(&format!("kubectl -n {HOME} {command}")), "{note}");
    let begin = Instant::now();
    transcript.run(&format!("--namespace {HOME} {command}"))?;
    let overridden = day.copied(begin, TYPO).await?;
    let begin = Instant::now();
    day.registry.accept(SECOND);
    day.rotate(SECOND).await?;
    let corrected = day.copied(begin, SECOND).await?;
    day.home.copied(Instant::now(), &new, COPY, &day.login(SECOND)).await?;
    prometheus.until_silent("PullcredLoginHeldBack").await?;
    let report = report
        .seen(
            "a typo in a rotation: Event, metric, report, alert after",
            format!(
                "{}, {}, {}, {}",
                seconds(noted),
                seconds(held),
                seconds(said),
                seconds(alerted)
            ),
        )
        .seen("refused again after", seconds(refused))
        .seen(format!("resourceVersions of {} copies", after.len()), "as before")
        .seen("a namespace that opts in meanwhile", "no copy; `Missing`, `LoginRefused`")
        .seen("`pullcred.dev/accept`: copied all the same after", seconds(overridden))
        .seen("corrected: tried and copied after", seconds(corrected));
    Ok((report, content))
}

/// A registry that is down holds up neither a rotation nor a namespace, and its login is accepted when it is there again.
async fn away(day: &Day, controller: &Controller, report: Report) -> Result<Report> {
    day.registry.set_away(true);
    day.registry.accept(THIRD);
    let begin = Instant::now();
    day.rotate(THIRD).await?;
    let late = day.home.opted_in("team-late", &[]).await?;
    let copied = time_until(begin, SOON, "copy in a new namespace", async || {
        Ok(day.home.secret(&late, COPY).await?.is_some())
    });
    let copied = copied.await?;
    let spread = day.copied(begin, THIRD).await?;
    let known = day.until_health(begin, SOON, "Unreachable").await?;
    let series = format!("pullcred_login_health{{login=\"{LOGIN}\",verdict=\"Unreachable\"}}");
    day.until_metric(begin, controller, &series).await?;
    day.registry.set_away(false);
    day.half_an_hour_passes().await?;
    let begin = Instant::now();
    let back = day.until_health(begin, SOON, "Accepted").await?;
    Ok(report
        .seen("registry down: rotation copied after", seconds(spread))
        .seen("registry down: a namespace that opts in has its copy after", seconds(copied))
        .seen("registry down: `Unreachable` after", seconds(known))
        .seen("registry there again, from the due check on: `Accepted` after", seconds(back)))
}

/// The password is revoked at the registry, and the next check is due.
async fn revoked(
    day: &Day,
    transcript: &mut Transcript<'_>,
    report: Report,
) -> Result<(Controller, Report)> {
    day.registry.accept("of-somebody-else");
    day.half_an_hour_passes().await?;
    let before = day.versions().await?;
    let begin = Instant::now();
    let controller = day.home.start("1", "3s").await?;
    let prometheus = watch(day, &controller, "revoked").await?;
    let said = day.until_health(begin, AGAIN, "Refused").await?;
    let series = format!("pullcred_login_health{{login=\"{LOGIN}\",verdict=\"Refused\"}}");
    let metric = day.until_metric(begin, &controller, &series).await?;
    let (_, noted) = day.until_event(begin, "LoginRefused", "its copies stay").await?;
    let alert = prometheus.until_firing("PullcredLoginRefused").await?;
    let alerted = begin.elapsed();
    ensure!(alert.label("login") == LOGIN && alert.label("severity") == "critical", "{alert:?}");
    until("report of a namespace with a refused login", async || {
        let report = house::report(day.home.api(), "team-a").await?.unwrap_or_default();
        Ok(report["status"]["secrets"][0]["state"] == "Refused")
    })
    .await?;
    ensure!(day.versions().await? == before, "copies have changed");
    day.until_copied("7/7").await?;
    transcript.about("A password that was revoked");
    transcript.run("get loginreports")?;
    transcript.run("get psr --namespace team-a")?;
    let image = format!("{}/acme/web:1", day.registry.host());
    let mut web = pod("web").image(&image).into_object();
    web["metadata"]["namespace"] = json!("team-a");
    until("warning at admission", async || {
        let dry_run = day.namespaces[0].dry_run(pod("try").image(&image)).await?;
        Ok(!dry_run.warnings().is_empty())
    })
    .await?;
    let printed = transcript.apply("web.json", &web)?;
    ensure!(printed.starts_with("Warning: "), "{printed}");
    let report = report
        .seen(
            "a password revoked, from the due check on: report, metric, Event, alert after",
            format!(
                "{}, {}, {}, {}",
                seconds(said),
                seconds(metric),
                seconds(noted),
                seconds(alerted)
            ),
        )
        .seen("`kubectl apply` of a Pod there", printed.lines().next().unwrap_or_default())
        .seen("copies of it", "as they were");
    Ok((controller, report))
}

/// It is killed and started, again and again: the login is not tried more often for that.
async fn crashes(day: &Day, controller: Controller) -> Result<Controller> {
    let (_, before) = day.registry.tries();
    let mut controller = controller;
    for crash in 0..CRASHES {
        controller.kill();
        controller = day.home.start(&format!("crash-{crash}"), "3s").await?;
        // Long enough for a check that would be made at once.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let (_, after) = day.registry.tries();
    ensure!(after == before, "{} more tries", after - before);
    Ok(controller)
}

/// A Prometheus with the chart's alerts about a controller.
async fn watch(day: &Day, controller: &Controller, name: &str) -> Result<Prometheus> {
    let cluster = &day.home.cluster;
    let monitoring = cluster.monitoring();
    let namespace = day.home.namespace.name();
    let targets = Targets {
        pods: &[(controller.admin(), namespace, "pullcred-credentials-0")],
        api_server: &cluster.control_plane().kubeconfig(User::ADMIN)?,
    };
    let rules = Monitoring::hurried(&monitoring.rules_with_health, namespace, "none.pullcred.dev");
    let folder = cluster.control_plane().folder().join(format!("prometheus-{name}"));
    monitoring.start(&folder, &rules, &targets).await
}

fn held() -> String {
    format!("pullcred_login_held{{login=\"{LOGIN}\"}}")
}

/// What the report calls the content of the login.
async fn content(day: &Day) -> Result<String> {
    let report = day.report().await?;
    let content = report["status"]["health"]["content"].as_str().map(str::to_owned);
    content.context("the report names no content")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
