//! What the creation of a Pod takes: alone, with the policy that `pullcred policy` writes, and with the webhook.
//!
//! The ways take turns in short blocks, and the order rotates, so that a change in the machine's speed affects all of them. All of it
//! is in one cluster; a namespace decides which way its Pods take.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{task::JoinSet, time::sleep};

use super::{
    Outcome,
    cost::Cpu,
    figures::{Figure, append, rounded},
    table::{Table, Times, milliseconds},
};
use crate::{
    cluster::{Cluster, MAPPING},
    control_plane::Options,
    fixtures::pod,
    namespace::{Namespace, PRIVATE_IMAGE},
    pullcred::{Pullcred, get},
    registration::{Registration, WEBHOOK},
    sandbox::Sandbox,
    scenarios::policy::Policy,
};

/// After a block its Pods are deleted; those that watch Pods have handled that by then.
const PAUSE: Duration = Duration::from_millis(200);
/// An image that no rule covers.
const PUBLIC_IMAGE: &str = "public.example.com/nginx:1";

/// How much is measured.
pub(super) struct Sizes {
    rounds: usize,
    /// Creators at once, and Pods of a block.
    loads: &'static [(usize, usize)],
}

pub(super) const FULL: Sizes = Sizes { rounds: 7, loads: &[(1, 200), (16, 480), (64, 640)] };
pub(super) const SMALL: Sizes = Sizes { rounds: 1, loads: &[(1, 4), (16, 32)] };

/// A way in which Pods are created.
struct Way {
    name: &'static str,
    namespace: Namespace,
    image: &'static str,
    /// How many Secrets each Pod is given.
    secrets: usize,
    /// Whether it is there to explain the cost of another, which one creator does.
    explains: bool,
}

/// Pods that were created one after the other in one way.
#[derive(Default)]
struct Block {
    times: Vec<Duration>,
    wall: Duration,
    api_server: Duration,
    webhook: Duration,
}

/// What the webhook and the API server say of the calls so far: how many, and the seconds of all of them.
#[derive(Clone, Copy)]
struct Calls {
    count: f64,
    answering: f64,
    calling: f64,
    connections: usize,
}

/// The blocks of each load and way, in the order of their rounds.
type Blocks = BTreeMap<(usize, &'static str), Vec<Block>>;

pub(super) async fn run(sandbox: &Sandbox, folder: &Path, sizes: &Sizes) -> Result<Outcome> {
    let cluster = Cluster::start_with(Options::default(), sandbox, folder).await?;
    let webhook = cluster.webhook().await?;
    let ways = ways(&cluster, webhook).await?;
    let (mut blocks, mut calls) = (Blocks::new(), BTreeMap::<usize, Vec<[Calls; 2]>>::new());
    for round in 0..=sizes.rounds {
        for &(creators, pods) in sizes.loads {
            // The first round is not measured: it fills caches and pools.
            let pods = if round == 0 { pods.div_ceil(4) } else { pods };
            for turn in 0..ways.len() {
                let way = &ways[(round + turn) % ways.len()];
                if way.explains && creators > 1 {
                    continue;
                }
                let before = Calls::so_far(&cluster, webhook, way).await?;
                let block = way.block(&cluster, webhook, round, creators, pods).await?;
                if round > 0 {
                    if let Some(before) = before {
                        let after = Calls::so_far(&cluster, webhook, way).await?;
                        let after = after.context("no calls")?;
                        let called = after.count - before.count;
                        ensure!(
                            called <= count(pods),
                            "the API server called {called} times for {pods} Pods"
                        );
                        calls.entry(creators).or_default().push([before, after]);
                    }
                    blocks.entry((creators, way.name)).or_default().push(block);
                }
            }
        }
    }
    let figures = figures(&blocks, &calls);
    append(&figures)?;
    Ok(outcome(sizes, &blocks, &figures))
}

async fn ways(cluster: &Cluster, webhook: &Pullcred) -> Result<Vec<Way>> {
    let way = |name, namespace, image, secrets, explains| Way {
        name,
        namespace,
        image,
        secrets,
        explains,
    };
    let opted_in = cluster.opted_in("cost-webhook").await?;
    let by_policy = cluster.apart("cost-policy").await?;
    Policy::create(cluster, &by_policy, MAPPING, PRIVATE_IMAGE.0).await?;
    let unconditional = cluster.apart("cost-unconditional").await?;
    Registration::url("unconditional", webhook.address(), cluster.webhooks())
        .webhook_name("unconditional.pullcred.dev")
        .without_match_conditions()
        .only_in(&[unconditional.name()])
        .create(cluster.api())
        .await?;
    unconditional.until_injected().await?;
    opted_in.until_injected().await?;
    let neither = cluster.unlabelled("cost-neither").await?;
    Ok(vec![
        way("neither", neither, PRIVATE_IMAGE.0, 0, false),
        way("policy", by_policy, PRIVATE_IMAGE.0, 1, false),
        way("webhook", opted_in.clone(), PRIVATE_IMAGE.0, 1, false),
        way("webhook, nothing to add", opted_in, PUBLIC_IMAGE, 0, true),
        way("webhook without matchConditions", unconditional, PRIVATE_IMAGE.0, 1, true),
    ])
}

// === impl Way ===

impl Way {
    async fn block(
        &self,
        cluster: &Cluster,
        webhook: &Pullcred,
        round: usize,
        creators: usize,
        pods: usize,
    ) -> Result<Block> {
        let api_server = Cpu::start(cluster.control_plane().api_server_id())?;
        let own = Cpu::start(webhook.id())?;
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for creator in 0..creators {
            let (namespace, image, secrets) = (self.namespace.clone(), self.image, self.secrets);
            let numbers = (creator..pods).step_by(creators);
            tasks.spawn(async move {
                let mut times = Vec::with_capacity(numbers.len());
                for number in numbers {
                    // Without a scheduler, since what that writes is not asked about.
                    let pod = pod(&format!("timed-{round}-{number}")).image(image);
                    let pod = pod.spec("schedulerName", "none".into());
                    let begin = Instant::now();
                    let answer = namespace.answer_to(pod).await?;
                    times.push(begin.elapsed());
                    let created = answer.object()?;
                    let list = created["spec"]["imagePullSecrets"].as_array().map_or(0, Vec::len);
                    ensure!(list == secrets, "{list} Secrets in {}", namespace.name());
                }
                Ok(times)
            });
        }
        let mut times = Vec::with_capacity(pods);
        while let Some(more) = tasks.join_next().await {
            times.extend(more??);
        }
        let wall = begin.elapsed();
        let (api_server, webhook) = (api_server.spent()?, own.spent()?);
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace.name());
        cluster.api().delete(&path).await?.ok()?;
        sleep(PAUSE).await;
        Ok(Block { times, wall, api_server, webhook })
    }
}

// === impl Block ===

impl Block {
    fn per_pod(&self, spent: Duration) -> f64 {
        micros(spent) / count(self.times.len())
    }
}

// === impl Calls ===

impl Calls {
    /// Those of the webhook as it is installed; of other ways there is nothing to say.
    async fn so_far(cluster: &Cluster, webhook: &Pullcred, way: &Way) -> Result<Option<Self>> {
        if way.name != "webhook" {
            return Ok(None);
        }
        let own = get(webhook.admin(), "/metrics").await?;
        let api_server = cluster.api().get("/metrics").await?.ok()?;
        let calling = format!(
            "apiserver_admission_webhook_admission_duration_seconds_sum{{name=\"{WEBHOOK}\""
        );
        Ok(Some(Self {
            count: sum(&own, "pullcred_admission_duration_seconds_count")?,
            answering: sum(&own, "pullcred_admission_duration_seconds_sum")?,
            calling: sum(&api_server, &calling)?,
            connections: usize::try_from(
                webhook.metric("pullcred_connections_opened_total").await?,
            )?,
        }))
    }
}

/// The sum of all series that begin so.
fn sum(metrics: &str, begin: &str) -> Result<f64> {
    let lines: Vec<_> = metrics.lines().filter(|line| line.starts_with(begin)).collect();
    ensure!(!lines.is_empty(), "there is no {begin}");
    let value = |line: &&str| line.rsplit(' ').next().unwrap_or_default().parse::<f64>();
    lines.iter().map(value).sum::<Result<f64, _>>().with_context(|| begin.to_owned())
}

// === the figures ===

fn figures(blocks: &Blocks, calls: &BTreeMap<usize, Vec<[Calls; 2]>>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (&(creators, way), blocks) in blocks {
        let figure = |metric| Figure::new("admission", way, metric).at("creators", creators);
        let quantile = |share| {
            blocks.iter().map(move |it| milliseconds(Times::new(it.times.clone()).quantile(share)))
        };
        let all = Times::new(blocks.iter().flat_map(|it| &it.times).copied().collect());
        figures.extend([
            figure(["p50", "ms"]).values(quantile(0.5)),
            figure(["p99", "ms"]).values(quantile(0.99)),
            figure(["rate", "Pods/s"])
                .values(blocks.iter().map(|it| count(it.times.len()) / it.wall.as_secs_f64())),
            figure(["API server's processor time", "µs"])
                .values(blocks.iter().map(|it| it.per_pod(it.api_server))),
            Figure {
                percentiles: (1..100_u32)
                    .map(|it| rounded(milliseconds(all.quantile(f64::from(it) / 100.0))))
                    .collect(),
                ..figure(["latency", "ms"])
            },
        ]);
    }
    for (&creators, calls) in calls {
        let figure = |metric| Figure::new("admission", "webhook", metric).at("creators", creators);
        let mean = |of: fn(&Calls) -> f64| {
            calls.iter().map(move |[before, after]| {
                (of(after) - of(before)) / (after.count - before.count) * 1e6
            })
        };
        // The clock of processor time is too coarse for one block.
        let blocks = &blocks[&(creators, "webhook")];
        let own: Duration = blocks.iter().map(|it| it.webhook).sum();
        let pods = blocks.iter().map(|it| it.times.len()).sum();
        let opened =
            calls.iter().map(|[before, after]| after.connections - before.connections).sum();
        figures.extend([
            figure(["webhook's processor time", "µs"]).values([micros(own) / count(pods)]),
            figure(["webhook's answer, mean", "µs"]).values(mean(|it| it.answering)),
            figure(["API server's call, mean", "µs"]).values(mean(|it| it.calling)),
            figure(["new connections for 1,000 calls", "connections"])
                .values([count(opened) * 1e3 / count(pods)]),
        ]);
    }
    figures
}

fn outcome(sizes: &Sizes, blocks: &Blocks, figures: &[Figure]) -> Outcome {
    let mut table = Table::default();
    for figure in figures.iter().filter(|it| it.percentiles.is_empty()) {
        let creators = figure.at.unwrap_or_default();
        let goal =
            if figure.metric == "p50" && figure.series == "webhook" { "neither + 0.7" } else { "" };
        let values: Vec<String> = figure.values.iter().map(ToString::to_string).collect();
        let what =
            format!("{}, {creators} at once: {}, {}", figure.series, figure.metric, figure.unit);
        table.row(&what, goal, values.join(" "));
    }
    let times = blocks.get(&(1, "webhook")).into_iter().flatten().flat_map(|it| &it.times);
    let times = Times::new(times.copied().collect());
    Outcome {
        method: format!(
            "Creation of Pods, {} rounds; each way in turns, in blocks of {:?} (creators, Pods). Each value is one block's.",
            sizes.rounds, sizes.loads
        ),
        table,
        typical: times.quantile(0.5),
        long: times.quantile(0.99),
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
