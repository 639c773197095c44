//! The cost of a Pod with three images, by the number of rules and by the number of namespaces with a report.
//!
//! `cargo bench --bench rules` measures the lookup alone (`matches` and `secrets`) for five shapes of a mapping, and a whole
//! request, from the bytes of a review to the bytes of the answer. The last two rows are what is known of a Secret, and a request in a
//! namespace with a report.
//!
//! The sizes alternate every millisecond, and the ratio is the median over the turns. So other load on the
//! machine affects all sizes equally, unlike in harnesses that measure one after the other.

#[path = "figures.rs"]
mod figures;

use std::fmt::Display;
use std::hint::black_box;
use std::time::{Duration, Instant};

use pullcred::core::answer;
use pullcred::core::decide::decide;
use pullcred::core::image::ImageRef;
use pullcred::core::knowledge::{Knowledge, ReportedSecrets};
use pullcred::core::reports::{PullSecretStatus, ReportedSecret, ReportedState};
use pullcred::core::review;
use pullcred::core::rules::{Mapping, Rule, WhenMissing};
use serde_json::{Value, json};

use figures::{Figure, append};

/// Rules of a mapping, or namespaces with a report.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const NAMESPACE: &str = "team-7";

/// How long one size is measured before it is the other's turn.
const TURN: Duration = Duration::from_millis(1);
const TURNS: usize = 1_000;

/// A kind of mapping, and Pods with images that some of its rules cover.
struct Shape {
    name: &'static str,
    /// The images of the Pods that come in turn.
    pods: fn(rules: usize) -> Vec<[String; 3]>,
    rule: fn(usize) -> Rule,
}

const SHAPES: [Shape; 5] = [
    Shape {
        name: "hosts",
        pods: |_| {
            one([
                "registry-3.example.com/team/app:1.2",
                "registry-7.example.com/team/proxy:1.2",
                "nginx",
            ])
        },
        rule: host,
    },
    // Different hosts in each turn: ten rules fit into the processor's caches, ten thousand do not.
    Shape {
        name: "hosts in turn",
        pods: |rules| {
            let image =
                |i: usize| format!("registry-{}.example.com/team/app:1.2", i * 7919 % rules);
            (0..1_000).map(|i| [image(3 * i), image(3 * i + 1), image(3 * i + 2)]).collect()
        },
        rule: host,
    },
    Shape {
        name: "paths",
        pods: |_| {
            one([
                "registry.example.com/team-3/app:1.2",
                "registry.example.com/team-7/deep/er/proxy:1.2",
                "nginx",
            ])
        },
        rule: |i| rule(&format!("registry.example.com/team-{i}"), i, None),
    },
    Shape {
        name: "namespaces",
        pods: |_| one(["registry.example.com/app:1.2", "registry.example.com/proxy:1.2", "nginx"]),
        rule: |i| rule("registry.example.com", i, Some(&format!("team-{i}"))),
    },
    MIX,
];

/// As in a large cluster: mostly hosts and paths, many for one namespace, and the globs of the clouds.
const MIX: Shape = Shape {
    name: "mix",
    pods: |_| {
        one([
            "registry-3.example.com/team/app:1.2",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/proxy:1.2",
            "nginx",
        ])
    },
    rule: |i| match i {
        0 => rule("docker.io", i, None),
        1 => rule("*.dkr.ecr.*.amazonaws.com", i, None),
        2 => rule("*-docker.pkg.dev", i, None),
        4 => rule("*.azurecr.io", i, Some("batch-*")),
        _ if i % 2 == 0 => rule(&format!("ghcr.io/team-{i}"), i, Some(&format!("team-{i}"))),
        _ => host(i),
    },
};

#[expect(clippy::print_stdout, reason = "the result of the benchmark")]
fn main() -> std::io::Result<()> {
    // `cargo test` runs a benchmark without this argument: one turn checks that it works.
    let measure = std::env::args().any(|argument| argument == "--bench");
    let turns = if measure { TURNS } else { 1 };
    println!("{:30} {} {:>6}", "ns per Pod", SIZES.map(|it| format!("{it:>9}")).join(" "), "ratio");
    for shape in &SHAPES {
        let mappings = SIZES.map(|rules| shape.mapping(rules));
        let pods = SIZES.map(|rules| (shape.pods)(rules));
        let row = Row::of(turns, places().map(|size| looking_up(&mappings[size], &pods[size])));
        row.print_and_append(["rules", shape.name, "look-up"])?;
    }
    for shape in [&SHAPES[1], &MIX] {
        let mappings = SIZES.map(|rules| shape.mapping(rules));
        let bodies = SIZES.map(|rules| admission_reviews(&(shape.pods)(rules), NAMESPACE));
        let nothing = Knowledge::default();
        let row = Row::of(
            turns,
            places().map(|size| answering(&mappings[size], &bodies[size], &nothing)),
        );
        row.print_and_append(["rules", shape.name, "request"])?;
    }
    let known = SIZES.map(reports);
    let row = Row::of(turns, places().map(|size| knowing(&known[size].0, &known[size].1)));
    row.print_and_append(["namespaces", "what is known", "look-up"])?;
    let mapping = MIX.mapping(SIZES[0]);
    let bodies = known.each_ref().map(|(_, names)| {
        let pods = (MIX.pods)(SIZES[0]);
        // Other ones in each turn, in as many bodies for each size.
        let name = |n: usize| &names[n * 7919 % names.len()];
        (0..1_000).flat_map(|n| admission_reviews(&pods, name(n))).collect::<Vec<_>>()
    });
    let row =
        Row::of(turns, places().map(|size| answering(&mapping, &bodies[size], &known[size].0)));
    row.print_and_append(["namespaces", "with a report", "request"])
}

/// The places in [`SIZES`].
fn places() -> [usize; SIZES.len()] {
    std::array::from_fn(|place| place)
}

/// The reports of so many namespaces, and their names.
fn reports(namespaces: usize) -> (Knowledge, Vec<String>) {
    let secret = |n: usize| ReportedSecret {
        name: format!("pull-registry-{n}"),
        state: ReportedState::Ready,
        reason: None,
        expired_at: None,
        keys: None,
    };
    let status = PullSecretStatus { secrets: (0..3).map(secret).collect(), ..Default::default() };
    let names: Vec<String> = (0..namespaces).map(|n| format!("team-{n}-staging")).collect();
    let mut known = Knowledge::default();
    known.set_fresh(true);
    for name in &names {
        known.insert(expected(ReportedSecrets::of(name, &status)));
    }
    (known, names)
}

/// Each call asks about a Secret in the next namespace.
fn knowing<'a>(known: &'a Knowledge, names: &'a [String]) -> impl FnMut() + 'a {
    let mut next = 0;
    move || {
        let namespace = known.namespace(black_box(&names[next]));
        black_box(namespace.and_then(|it| it.secret(black_box("pull-registry-1"))));
        next = (next + 7919) % names.len();
    }
}

/// Each call looks up the images of the next Pod.
fn looking_up<'a>(mapping: &'a Mapping, pods: &'a [[String; 3]]) -> impl FnMut() + 'a {
    let pods: Vec<_> =
        pods.iter().map(|images| images.each_ref().map(|image| parsed(image))).collect();
    let mut next = 0;
    move || {
        let mut found = Vec::new();
        for image in &pods[next] {
            mapping.matches(black_box(image), black_box(NAMESPACE), &mut found);
        }
        black_box(mapping.secrets(&mut found));
        next = (next + 1) % pods.len();
    }
}

/// Each call answers the review of the next Pod.
fn answering<'a>(
    mapping: &'a Mapping,
    bodies: &'a [Vec<u8>],
    known: &'a Knowledge,
) -> impl FnMut() + 'a {
    let mut next = 0;
    move || {
        let request = expected(review::parse(black_box(&bodies[next])));
        let known = known.namespace(&request.namespace);
        black_box(expected(answer::respond(&request.uid, &decide(&request, mapping, known))));
        next = (next + 1) % bodies.len();
    }
}

/// Nanoseconds for each of the [`SIZES`], turn after turn.
struct Row(Vec<[f64; SIZES.len()]>);

impl Row {
    fn of(turns: usize, mut subjects: [impl FnMut(); SIZES.len()]) -> Self {
        Self((0..turns).map(|_| subjects.each_mut().map(turn)).collect())
    }

    /// Prints the medians over all turns, and the one of the ratios of most to fewest. The figures have ten values, each the median of a
    /// tenth of the turns.
    #[expect(clippy::print_stdout, reason = "the result of the benchmark")]
    fn print_and_append(&self, [case, series, metric]: [&str; 3]) -> std::io::Result<()> {
        let Self(turns) = self;
        let nanos = places().map(|size| median(turns.iter().map(|turn| turn[size])));
        let ratio = median(turns.iter().map(|turn| turn[SIZES.len() - 1] / turn[0]));
        let name = format!("{series}, {metric}");
        println!("{name:30} {} {ratio:6.3}", nanos.map(|it| format!("{it:9.0}")).join(" "));
        let figures = places().map(|size| {
            let parts = turns.chunks(turns.len().div_ceil(10));
            Figure::new(case, series, [metric, "ns"])
                .at(case, SIZES[size])
                .values(parts.map(|part| median(part.iter().map(|turn| turn[size]))))
        });
        append(&figures)
    }
}

/// Nanoseconds a call, over one turn.
fn turn(subject: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < TURN {
        for _ in 0..64 {
            subject();
        }
        calls += 64;
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Shape {
    fn mapping(&self, rules: usize) -> Mapping {
        let mapping = Mapping::new((0..rules).map(self.rule).collect(), Vec::new());
        let mut found = Vec::new();
        for image in &(self.pods)(rules)[0] {
            mapping.matches(&parsed(image), NAMESPACE, &mut found);
        }
        assert!(!mapping.secrets(&mut found).is_empty(), "{} has no match", self.name);
        mapping
    }
}

fn one(images: [&str; 3]) -> Vec<[String; 3]> {
    vec![images.map(str::to_owned)]
}

fn host(number: usize) -> Rule {
    rule(&format!("registry-{number}.example.com"), number, None)
}

fn rule(pattern: &str, number: usize, namespace: Option<&str>) -> Rule {
    Rule {
        patterns: vec![expected(pattern.parse())],
        secret: expected(format!("secret-{number}").parse()),
        namespaces: namespace.map(|name| expected(name.parse())).into_iter().collect(),
        fill: None,
        when_missing: WhenMissing::Inject,
        line: 1,
    }
}

fn parsed(image: &str) -> ImageRef<'_> {
    expected(ImageRef::parse(image))
}

#[expect(clippy::panic, reason = "what the benchmark is made of is fixed above")]
fn expected<T, E: Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// Small reviews. In real, larger ones the rules are an even smaller part of the cost.
fn admission_reviews(pods: &[[String; 3]], namespace: &str) -> Vec<Vec<u8>> {
    pods.iter().map(|images| admission_review(images, namespace).to_string().into_bytes()).collect()
}

fn admission_review(images: &[String; 3], namespace: &str) -> Value {
    let containers: Vec<_> = images
        .iter()
        .enumerate()
        .map(|(i, image)| json!({"name": format!("c{i}"), "image": image}))
        .collect();
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "operation": "CREATE",
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"generateName": "app-", "namespace": namespace, "labels": {"app": "app"}},
                "spec": {"containers": containers},
            },
        },
    })
}
