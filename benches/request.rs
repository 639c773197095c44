//! Handles one review repeatedly, from the request behind its connection to its answer, to measure what that costs with and
//! without its line in the log.
//!
//! `request MAPPING REVIEW TIMES FILTER` is for `benches/instructions.sh`: `info` is the default log, and `warn` has no line.
//! `request MAPPING REVIEW TURNS` is for `benches/run.sh`: in turns of a thousand requests with the line and a thousand
//! without, it takes the processor time of all threads, and prints the median difference. The log is standard error.

use std::{env, error::Error, fs, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, header},
};
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    mapping,
    supervise::Supervisor,
    telemetry::{self, LogFormat},
    webhook::{
        admission::{Admission, router},
        body::BodyLimits,
        metrics::Metrics,
    },
};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tracing::subscriber::{NoSubscriber, with_default};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The requests of a turn. Their lines are fewer bytes than the log keeps for a slow reader.
const TURN: u32 = 1000;
/// Long enough for the last lines of a turn to be written.
const PAUSE: Duration = Duration::from_millis(100);

struct Webhook {
    router: Router,
    review: Bytes,
    runtime: Runtime,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let usage = "usage: request MAPPING REVIEW TIMES [FILTER]";
    let [config, review, times, filter @ ..] = arguments.as_slice() else {
        return Err(usage.into());
    };
    let times = times.parse()?;
    let running = Supervisor::default().guard("log");
    let level = filter.first().map_or("info", String::as_str);
    let log = telemetry::init(level, LogFormat::Json, running)?;
    let mapping = mapping::parse(&fs::read_to_string(config)?)?;
    let metrics = Arc::new(Metrics::new(log.dropped()));
    let admission = Admission::new(mapping, metrics, BodyLimits::default(), 1);
    let webhook = Webhook {
        router: router(Arc::new(admission)),
        review: fs::read(review)?.into(),
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
    };
    if filter.is_empty() { webhook.compare(times, &log.dropped()) } else { webhook.handle(times) }
}

// === impl Webhook ===

impl Webhook {
    fn handle(&self, times: u32) -> Result<()> {
        self.runtime.block_on(async {
            for _ in 0..times {
                let request = Request::post("/mutate?timeout=10s")
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Body::from(self.review.clone()))?;
                let response = self.router.clone().oneshot(request).await?;
                response.into_body().collect().await?;
            }
            Ok(())
        })
    }

    #[expect(clippy::print_stdout, reason = "the result of the benchmark")]
    fn compare(&self, turns: u32, dropped: &Counter) -> Result<()> {
        let mut lines = Vec::new();
        let mut requests = Vec::new();
        for _ in 0..turns {
            let without = with_default(NoSubscriber::new(), || self.turn())?;
            lines.push(self.turn()? - without);
            requests.push(without);
        }
        println!("{:.2} {:.2} {}", median(requests), median(lines), dropped.get());
        Ok(())
    }

    /// The processor time of a request in microseconds.
    fn turn(&self) -> Result<f64> {
        let before = processor_time()?;
        self.handle(TURN)?;
        thread::sleep(PAUSE);
        Ok((processor_time()? - before) / f64::from(TURN))
    }
}

/// The processor time of all threads so far, in microseconds.
fn processor_time() -> Result<f64> {
    let mut sum = 0.0;
    for thread in fs::read_dir("/proc/self/task")? {
        // Nanoseconds on a processor, and two numbers about waiting for one (kernel: Documentation/scheduler/sched-stats.rst).
        let times = fs::read_to_string(thread?.path().join("schedstat"))?;
        let running = times.split(' ').next().ok_or("no times of a thread")?;
        sum += running.parse::<f64>()? / 1e3;
    }
    Ok(sum)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
