//! The story of two accounts behind one host: a Pod has an image of each, pullcred fetches a short-lived login of each, and Pods
//! go on while both are renewed.
//!
//! Logins live for a minute and a half, which is as short as renewals a minute apart allow. By hand, for longer:
//! `PULLCRED_LOGINS_LIFE=240 PULLCRED_LOGINS_SECONDS=3600 cargo test --test cluster -- logins_story`; and with a thousand namespaces:
//! `PULLCRED_LOGINS_NAMESPACES=1000`.

use std::{
    collections::BTreeMap,
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    clouds::{Issued, aliyun::Aliyun},
    fixtures::{Pod, pod},
    namespace::Namespace,
    node::{Events, HALVES, HOME, Halves, NodeCluster, SHARED, until_phase},
    registration::INJECT,
    report::Report,
    sandbox::NODE_ADDRESS,
    wait::{until, until_within},
};

/// The role of each account, and its OIDC provider, which stands for the cluster.
const ACCOUNTS: [(&str, &str); 2] = [
    ("acs:ram::111:role/pull", "acs:ram::111:oidc-provider/cluster"),
    ("acs:ram::222:role/pull", "acs:ram::222:oidc-provider/cluster"),
];
/// The names of the accounts' logins, and of the Secrets with them.
const LOGINS: [&str; 2] = ["account-a", "account-b"];
const SECRETS: [&str; 2] = ["ali-a", "ali-b"];
const NAMESPACE: &str = "two-accounts";
/// The namespaces of each login.
const NAMESPACES: [&[&str]; 2] = [&[NAMESPACE, "two-accounts-and-*"], &[NAMESPACE]];
/// What the names of further namespaces with the first login begin with.
const MORE: &str = "two-accounts-and-";
/// The label of all namespaces of the story.
const STORY: &str = "two-accounts";
/// How many namespaces are created at once.
const IN_FLIGHT: usize = 20;
/// How many create Pods at once.
const CREATORS: usize = 2;
/// For a fetch and a copy on a machine that starts containers meanwhile.
const SOON: Duration = Duration::from_secs(30);
/// The longest pause of the controller after a failure, and that of the kubelet after the few failures of a Pod.
const PAUSES: Duration = Duration::from_secs(60 + 160);

/// How long logins live, for how long Pods are created, and how many more namespaces have one of the logins.
struct Plan {
    life: Duration,
    pods: Duration,
    namespaces: usize,
}

/// All that the story has.
struct Story<'a> {
    cluster: &'a NodeCluster,
    plan: Plan,
    clouds: [Aliyun; 2],
    halves: Halves,
    namespace: Namespace,
    images: [String; 2],
}

/// What became of the Pods that were created all the while.
#[derive(Default)]
struct Tally {
    pods: usize,
    slowest: Duration,
    /// From a renewal to its last copy.
    copied: Duration,
}

/// The time that the scenario may take.
pub(crate) fn limit() -> Duration {
    let Plan { life, pods, namespaces } = Plan::from_env();
    let namespaces = Duration::from_millis(100) * u32::try_from(namespaces).unwrap_or(u32::MAX);
    // The release is upgraded twice.
    pods + 3 * life + PAUSES + namespaces + Duration::from_secs(400)
}

/// One host, two accounts of Alibaba Cloud, one Pod with an image of each: it runs. Both logins are renewed, again and again if
/// there is time: no pull fails. The clouds go away for longer than a life: pulls fail. They are back: the same Pod runs.
pub(crate) async fn two_accounts(cluster: Arc<NodeCluster>) -> Result<Report> {
    let story = Story::begin(&cluster).await?;
    let values = story.values()?;
    let begin = Instant::now();
    let played = match cluster.helm_upgrade_with(&["--values", &values]).await {
        Ok(_) => story.play(begin.elapsed()).await,
        Err(error) => Err(error),
    };
    // Others want to play with it.
    cluster.helm_upgrade_without(&LOGINS).await?;
    let selector = format!("story={STORY}");
    cluster.kubectl(&["delete", "namespaces", "--selector", &selector, "--wait=false"]).await?;
    played
}

// === impl Plan ===

impl Plan {
    fn from_env() -> Self {
        let number = |name: &str, usual: u64| {
            env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
        };
        let seconds = |name: &str, usual: u64| Duration::from_secs(number(name, usual));
        // The life is less than the time of the Pods, so that each needs a renewed login in the end.
        let life = seconds("PULLCRED_LOGINS_LIFE", 90);
        let pods = seconds("PULLCRED_LOGINS_SECONDS", 100);
        let namespaces = number("PULLCRED_LOGINS_NAMESPACES", 10);
        Self { life, pods, namespaces: usize::try_from(namespaces).unwrap_or(usize::MAX) }
    }
}

// === impl Story ===

impl<'a> Story<'a> {
    /// The clouds, the registry with an image of each account, and the namespace.
    async fn begin(cluster: &'a NodeCluster) -> Result<Self> {
        let namespace = cluster.opted_in(NAMESPACE).await?;
        namespace.label("story", STORY).await?;
        let subject = format!("system:serviceaccount:{HOME}:pullcred-pull");
        let trust = cluster.trust(&subject).await?;
        let plan = Plan::from_env();
        let clouds = ACCOUNTS.map(|account| {
            let cloud = Aliyun::start_at(NODE_ADDRESS, cluster.clouds(), trust.clone(), account);
            cloud.ledger.set_life(plan.life.as_secs().cast_signed());
            cloud
        });
        let halves = cluster.start_halves(clouds.each_ref().map(|it| it.ledger.clone())).await?;
        let [a, b] = HALVES.map(|half| format!("{half}app:1"));
        let images = [cluster.push(SHARED, &a).await?, cluster.push(SHARED, &b).await?];
        Ok(Self { cluster, plan, clouds, halves, namespace, images })
    }

    /// The values of the tests with two logins more.
    fn values(&self) -> Result<String> {
        let login =
            |index: usize| self.cluster.login(LOGINS[index], ACCOUNTS[index], &self.clouds[index]);
        let rule = |index: usize| {
            json!({
                "registries": [SHARED.image(HALVES[index])], "secret": SECRETS[index],
                "login": LOGINS[index], "namespaces": NAMESPACES[index],
            })
        };
        self.cluster.values_with("two-accounts", &[login(0), login(1)], &[rule(0), rule(1)])
    }

    async fn play(&self, upgraded: Duration) -> Result<Report> {
        self.cluster.until_in_force().await?;
        for secret in SECRETS {
            until_within(SOON, secret, async || Ok(self.uid(secret).await?.is_some())).await?;
        }
        let uids = [self.uid(SECRETS[0]).await?, self.uid(SECRETS[1]).await?];
        self.opens_its_own_half_only()?;
        let first = self.namespace.create_pod(self.pod("first")).await?;
        assert_eq!(first.pull_secrets(), SECRETS);
        let events = until_phase(&self.namespace, &first, "Running").await?;
        clean(&events)?;
        let report = Report::new()
            .seen(
                "two accounts' logins on one host, `helm upgrade` with them",
                format!("{:.0} s", upgraded.as_secs_f64()),
            )
            .seen("Pod with an image of each account", &events);

        let (report, all) = self.more_namespaces(report).await?;
        let before = self.fetched();
        let tally = self.pods_all_the_while(before).await?;
        let after = self.fetched();
        let renewed = format!("{} and {} times", after[0] - before[0], after[1] - before[1]);
        let life = self.plan.life.as_secs();
        let report = report.seen(
            format!(
                "logins that live {life} s, renewed {renewed} while Pods are made for {} s",
                self.plan.pods.as_secs()
            ),
            format!(
                "{} Pods run, 0 failed pulls; the slowest ran after {:.1} s",
                tally.pods,
                tally.slowest.as_secs_f64()
            ),
        );
        let report = report.seen(
            format!("{} copies of a renewed login, from the answer of the cloud on", all.len()),
            format!("{:.1} s at most", tally.copied.as_secs_f64()),
        );
        let report = self.away(report).await?;
        ensure!(self.copies().await?.0 == all, "copies are others than at first");
        let now = [self.uid(SECRETS[0]).await?, self.uid(SECRETS[1]).await?];
        ensure!(now == uids, "the Secrets are others: {uids:?}, then {now:?}");
        Ok(report.seen("uids of both Secrets in the end", "as at first"))
    }

    /// What the registry accepts is the login of the half, and no other: or that Pods run would prove nothing.
    fn opens_its_own_half_only(&self) -> Result<()> {
        for (index, cloud) in self.clouds.iter().enumerate() {
            let Issued { user, password, .. } = cloud.logins().pop().context("no login")?;
            for (other, half) in HALVES.iter().enumerate() {
                let opens = self.halves.opens(&user, &password, &format!("{half}app"));
                ensure!(opens == (index == other), "{} and {half}: {opens}", LOGINS[index]);
            }
        }
        Ok(())
    }

    /// How many logins each account gave.
    fn fetched(&self) -> [usize; 2] {
        self.clouds.each_ref().map(|it| it.logins().len())
    }

    /// Creates Pods for as long as is planned, and until both logins have been renewed.
    async fn pods_all_the_while(&self, before: [usize; 2]) -> Result<Tally> {
        let (begin, stop) = (Instant::now(), CancellationToken::new());
        let creators = (0..CREATORS)
            .map(|creator| create(&self.namespace, &self.images, creator, stop.clone()));
        let waiting = async {
            let waited = self.renewals(begin, before).await;
            stop.cancel();
            waited
        };
        // A Pod that does not run ends the waiting, too.
        let (tallies, copied) = tokio::try_join!(try_join_all(creators), waiting)?;
        let pods = tallies.iter().map(|it| it.pods).sum();
        let slowest = tallies.iter().map(|it| it.slowest).max().unwrap_or_default();
        ensure!(tallies.iter().all(|it| it.pods > 0), "no Pods were made");
        Ok(Tally { pods, slowest, copied })
    }

    /// Waits until both logins have been renewed and the time of the Pods is over. Answers how long copies took at most.
    async fn renewals(&self, begin: Instant, before: [usize; 2]) -> Result<Duration> {
        let Plan { life, pods, .. } = self.plan;
        let (mut seen, mut slowest) = (before, Duration::ZERO);
        while begin.elapsed() < pods || seen.iter().zip(before).any(|(now, before)| *now == before)
        {
            ensure!(begin.elapsed() < pods + life, "not renewed: {before:?}, then {seen:?}");
            let now = self.fetched();
            if now[0] > seen[0] {
                let begin = Instant::now();
                let what = "copies of the renewed login";
                until_within(SOON, what, async || Ok(self.copies().await?.1)).await?;
                slowest = slowest.max(begin.elapsed());
            }
            seen = now;
            sleep(Duration::from_millis(100)).await;
        }
        Ok(slowest)
    }

    /// Creates namespaces that have the first login, too: one fetch is enough. Answers the uids of all copies by namespace.
    async fn more_namespaces(&self, report: Report) -> Result<(Report, BTreeMap<String, String>)> {
        let (before, begin) = (self.clouds[0].logins(), Instant::now());
        let create = async |number: usize| {
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": format!("{MORE}{number}"), "labels": {INJECT: "enabled", "story": STORY}},
            });
            self.cluster.api().post("/api/v1/namespaces", &object).await?.ok().map(drop)
        };
        let count = self.plan.namespaces;
        let creations = stream::iter((0..count).map(create)).buffer_unordered(IN_FLIGHT);
        creations.try_collect::<()>().await?;
        let created = begin.elapsed();
        let mut copies = BTreeMap::new();
        until("copies in all namespaces", async || {
            copies = self.copies().await?.0;
            Ok(copies.len() == count + 1)
        })
        .await?;
        let (took, fetched) = (begin.elapsed(), self.clouds[0].logins().len() - before.len());
        // A life may have come to its half meanwhile.
        let renewals = usize::try_from(took.as_secs() / 60)? + 1;
        ensure!(fetched <= renewals, "{fetched} fetches for {count} namespaces");
        let measured = format!(
            "created within {:.1} s, all have copies after {:.1} s, {fetched} fetches",
            created.as_secs_f64(),
            took.as_secs_f64()
        );
        Ok((report.seen(format!("{count} more namespaces with one login"), measured), copies))
    }

    /// The uids of all copies of the first login by namespace, and whether all have the login that was given last.
    async fn copies(&self) -> Result<(BTreeMap<String, String>, bool)> {
        let Issued { user, password, .. } = self.clouds[0].logins().pop().context("no login")?;
        let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let config = json!({"auths": {SHARED.image(HALVES[0]): {"auth": auth}}});
        let config = BASE64_STANDARD.encode(config.to_string());
        let path = format!("/api/v1/secrets?fieldSelector=metadata.name%3D{}", SECRETS[0]);
        let list = self.cluster.api().get(&path).await?.object()?;
        let items = list["items"].as_array().context("no list")?;
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let uid = |it: &Value| (text(&it["metadata"]["namespace"]), text(&it["metadata"]["uid"]));
        let all = items.iter().all(|it| it["data"][".dockerconfigjson"] == *config);
        Ok((items.iter().map(uid).collect(), all))
    }

    /// The clouds are away for longer than a life, and come back.
    async fn away(&self, report: Report) -> Result<Report> {
        for cloud in &self.clouds {
            cloud.server.set_away(true);
        }
        let begin = Instant::now();
        until_within(self.plan.life + SOON, "end of both logins", async || {
            Ok(self.clouds.iter().all(|cloud| {
                let now = cloud.ledger.now();
                cloud.logins().iter().all(|it| it.expires_at <= now)
            }))
        })
        .await?;
        for reason in ["LoginRefreshFailed", "LoginExpired"] {
            for login in LOGINS {
                self.reported(reason, login).await?;
            }
        }
        let refused = self.halves.refused();
        let pod = self.namespace.create_pod(self.pod("meanwhile")).await?;
        assert_eq!(pod.pull_secrets(), SECRETS);
        let events = Events::until(&self.namespace, &pod, "Failed", "ErrImagePull").await?;
        ensure!(self.halves.refused() > refused, "the registry was not asked");
        for secret in SECRETS {
            ensure!(self.uid(secret).await?.is_some(), "{secret} has gone");
        }
        let away = begin.elapsed();
        let before = self.fetched();
        for cloud in &self.clouds {
            cloud.server.set_away(false);
        }
        let begin = Instant::now();
        until_within(PAUSES, "fetched logins", async || {
            Ok(self.fetched().iter().zip(before).all(|(now, before)| *now > before))
        })
        .await?;
        let fetched = begin.elapsed();
        until_within(PAUSES, "running Pod", async || {
            Ok(self.namespace.pod("meanwhile").await?.at("/status/phase")
                == Some(&json!("Running")))
        })
        .await?;
        let healed = begin.elapsed();
        let same = self.namespace.pod("meanwhile").await?;
        ensure!(same.at("/metadata/uid") == pod.at("/metadata/uid"), "another Pod");
        for login in LOGINS {
            self.reported("LoginRefreshed", login).await?;
        }
        Ok(report
            .seen(format!("clouds away for {:.0} s: new Pod", away.as_secs_f64()), events)
            .seen(
                "clouds back: logins, and the same Pod runs, after",
                format!("{:.0} s, {:.0} s", fetched.as_secs_f64(), healed.as_secs_f64()),
            ))
    }

    /// Waits for an Event about a login.
    async fn reported(&self, reason: &str, login: &str) -> Result<()> {
        let secret = format!("pullcred-login-{login}");
        until(&format!("Event {reason} of {login}"), async || {
            let list =
                self.cluster.existing(HOME).object("/apis/events.k8s.io/v1", "events").await?;
            let mut items = list["items"].as_array().into_iter().flatten();
            Ok(items.any(|it| it["reason"] == reason && it["regarding"]["name"] == *secret))
        })
        .await
    }

    /// The uid of a Secret, where there is one.
    async fn uid(&self, secret: &str) -> Result<Option<String>> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{secret}");
        let found = self.cluster.api().get(&path).await?.found()?;
        Ok(found.and_then(|it| it["metadata"]["uid"].as_str().map(str::to_owned)))
    }

    fn pod(&self, name: &str) -> Pod {
        both(name, &self.images)
    }
}

/// Pods, one after the other: each runs, without a failed pull.
async fn create(
    namespace: &Namespace,
    images: &[String; 2],
    creator: usize,
    stop: CancellationToken,
) -> Result<Tally> {
    let mut tally = Tally::default();
    while !stop.is_cancelled() {
        let name = format!("pod-{creator}-{}", tally.pods);
        let begin = Instant::now();
        let stored = namespace.create_pod(both(&name, images)).await?;
        let events =
            until_phase(namespace, &stored, "Running").await.with_context(|| name.clone())?;
        tally.slowest = tally.slowest.max(begin.elapsed());
        clean(&events).with_context(|| format!("{name}, after {} others", tally.pods))?;
        tally.pods += 1;
        namespace.delete_pod(&name).await?;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(tally)
}

/// A Pod with both images. The kubelet asks the registry for each, whether it has them or not.
fn both(name: &str, images: &[String; 2]) -> Pod {
    images.iter().fold(pod(name), |pod, image| {
        pod.image(image).of_last_container("imagePullPolicy", "Always".into())
    })
}

/// No pull failed, and no Secret was missing.
fn clean(events: &Events) -> Result<()> {
    for reason in ["Failed", "BackOff", "FailedToRetrieveImagePullSecret"] {
        ensure!(!events.has(reason, ""), "{events}");
    }
    Ok(())
}
