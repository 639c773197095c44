//! What a Pod of three images costs with 10 rules, and with 10,000.
//!
//! `cargo bench --bench rules` measures the look-up alone (`matches` and `secrets`) for four shapes of a
//! mapping, and then a whole request, from the bytes of a review to the bytes of the answer. In the end it
//! prints the ratio of each pair. The images are the same for both sizes, and so are the Secrets found.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use pullcred::core::decide::{Knowledge, decide};
use pullcred::core::image::ImageRef;
use pullcred::core::review;
use pullcred::core::rules::{Mapping, Rule};
use serde_json::{Value, json};

const FEW: usize = 10;
const MANY: usize = 10_000;
const NAMESPACE: &str = "team-7";

/// A way to have many rules, of which the same few are for the images.
struct Shape {
    name: &'static str,
    images: [&'static str; 3],
    rule: fn(usize) -> Rule,
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "hosts",
        images: [
            "registry-3.example.com/team/app:1.2",
            "registry-7.example.com/team/proxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "nginx",
        ],
        rule: |i| rule(&format!("registry-{i}.example.com"), i, None),
    },
    Shape {
        name: "paths",
        images: [
            "registry.example.com/team-3/app:1.2",
            "registry.example.com/team-7/deep/er/proxy:1.2",
            "nginx",
        ],
        rule: |i| rule(&format!("registry.example.com/team-{i}"), i, None),
    },
    Shape {
        name: "namespaces",
        images: ["registry.example.com/app:1.2", "registry.example.com/proxy:1.2", "nginx"],
        rule: |i| rule("registry.example.com", i, Some(&format!("team-{i}"))),
    },
    Shape {
        name: "mix",
        images: [
            "registry-3.example.com/team/app:1.2",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/proxy:1.2",
            "nginx",
        ],
        rule: |i| match i {
            0 => rule("docker.io", i, None),
            1 => rule("*.dkr.ecr.*.amazonaws.com", i, None),
            2 => rule("*-docker.pkg.dev", i, None),
            4 => rule("*.azurecr.io", i, Some("batch-*")),
            _ if i % 2 == 0 => rule(&format!("ghcr.io/team-{i}"), i, Some(&format!("team-{i}"))),
            _ => rule(&format!("registry-{i}.example.com"), i, None),
        },
    },
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for shape in &SHAPES {
        look_up(&mut criterion, shape);
    }
    whole_request(&mut criterion, &SHAPES[3]);
    criterion.final_summary();
    // Cargo's tests run a benchmark without this, once and unmeasured.
    if std::env::args().any(|argument| argument == "--bench") {
        print_ratios();
    }
}

fn look_up(criterion: &mut Criterion, shape: &Shape) {
    let mut group = criterion.benchmark_group(shape.name);
    group.sampling_mode(SamplingMode::Flat);
    let images = shape.images.map(parsed);
    for size in [FEW, MANY] {
        let mapping = shape.mapping(size);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                let mut found = Vec::new();
                for image in &images {
                    mapping.matches(black_box(image), black_box(NAMESPACE), &mut found);
                }
                black_box(mapping.secrets(&mut found).len())
            });
        });
    }
    group.finish();
}

fn whole_request(criterion: &mut Criterion, shape: &Shape) {
    let mut group = criterion.benchmark_group("request");
    group.sampling_mode(SamplingMode::Flat);
    let body = admission_review(shape.images).to_string();
    for size in [FEW, MANY] {
        let known = Knowledge { mapping: shape.mapping(size), own_namespace: None };
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                let request = expected(review::parse(black_box(body.as_bytes())));
                expected(review::respond(&request.uid, &decide(&request, &known)))
            });
        });
    }
    group.finish();
}

/// Says for each shape how much more the many rules cost, from the medians that criterion keeps.
#[expect(clippy::print_stdout, reason = "the result of the benchmark")]
fn print_ratios() {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let median = |name: &str, size: usize| {
        let path = Path::new(&target).join(format!("criterion/{name}/{size}/new/estimates.json"));
        let mut text = String::new();
        File::open(path).ok()?.read_to_string(&mut text).ok()?;
        serde_json::from_str::<Value>(&text).ok()?.pointer("/median/point_estimate")?.as_f64()
    };
    println!("{:12} {:>12} {:>12} {:>6}", "", "10 rules", "10,000", "ratio");
    for name in SHAPES.map(|shape| shape.name).into_iter().chain(["request"]) {
        if let (Some(few), Some(many)) = (median(name, FEW), median(name, MANY)) {
            println!("{name:12} {few:9.1} ns {many:9.1} ns {:6.3}", many / few);
        }
    }
}

impl Shape {
    fn mapping(&self, size: usize) -> Mapping {
        let mapping = Mapping::new((0..size).map(self.rule).collect(), Vec::new());
        let mut found = Vec::new();
        for image in self.images.map(parsed) {
            mapping.matches(&image, NAMESPACE, &mut found);
        }
        assert!(!mapping.secrets(&mut found).is_empty(), "{} finds nothing", self.name);
        mapping
    }
}

fn rule(pattern: &str, number: usize, namespace: Option<&str>) -> Rule {
    Rule {
        patterns: vec![expected(pattern.parse())],
        secret: expected(format!("secret-{number}").parse()),
        namespaces: namespace.map(|name| expected(name.parse())).into_iter().collect(),
        line: 1,
    }
}

fn parsed(image: &str) -> ImageRef<'_> {
    expected(ImageRef::parse(image))
}

#[expect(clippy::panic, reason = "what the benchmark is made of is fixed above")]
fn expected<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// A small review; a real one is larger, and the rules weigh even less in it.
fn admission_review(images: [&str; 3]) -> Value {
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
            "namespace": NAMESPACE,
            "operation": "CREATE",
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"generateName": "app-", "namespace": NAMESPACE, "labels": {"app": "app"}},
                "spec": {"containers": containers},
            },
        },
    })
}
