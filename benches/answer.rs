//! Answers one review repeatedly, to count the instructions of an answer: see `benches/instructions.sh`.
//!
//! With `reports`, ten thousand namespaces have one, and so has that of the review, with every Secret of the mapping.

use std::{env, error::Error, fs, hint::black_box};

use pullcred::{
    core::{
        answer,
        decide::decide,
        knowledge::{Knowledge, ReportedSecrets, Unusable},
        reports::{PullSecretStatus, ReportedSecret, ReportedState},
        review,
        rules::Mapping,
    },
    mapping,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (config, review, times, reports) = match arguments.as_slice() {
        [config, review, times] => (config, review, times, false),
        [config, review, times, reports] if reports == "reports" => (config, review, times, true),
        _ => return Err("usage: answer MAPPING REVIEW TIMES [reports]".into()),
    };
    let mapping = mapping::parse(&fs::read_to_string(config)?)?;
    let body = fs::read(review)?;
    let namespace = review::parse(&body)?.namespace.to_string();
    let known = if reports { knowledge(&mapping, &namespace)? } else { Knowledge::default() };
    for _ in 0..times.parse()? {
        let request = review::parse(black_box(&body))?;
        let known = known.namespace(&request.namespace);
        black_box(answer::respond(&request.uid, &decide(&request, &mapping, known))?);
    }
    Ok(())
}

/// Reports of ten thousand namespaces, in which all is as it should be.
fn knowledge(mapping: &Mapping, namespace: &str) -> Result<Knowledge, Unusable> {
    let names = mapping.rules().iter().map(|rule| &rule.secret).chain(mapping.always());
    let mut names: Vec<String> = names.map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    let secret =
        |name| ReportedSecret { name, state: ReportedState::Ready, reason: None, keys: None };
    let secrets = names.into_iter().map(secret).collect();
    let status = PullSecretStatus { secrets, ..Default::default() };
    let mut known = Knowledge::default();
    known.set_fresh(true);
    for other in 1..10_000 {
        known.insert(ReportedSecrets::of(&format!("team-{other}"), &status)?);
    }
    known.insert(ReportedSecrets::of(namespace, &status)?);
    Ok(known)
}
