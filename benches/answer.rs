//! Answers one review repeatedly, to count the instructions of an answer: see `benches/instructions.sh`.
//!
//! With `reports`, ten thousand namespaces have one, and so has that of the review, with every Secret of the mapping. With
//! `discover`, the namespace also has Secrets of its own for ten registries, and the mapping lets Pods have them.

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

/// What comes before the answers, besides the mapping.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Nothing,
    Reports,
    OwnSecrets,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (config, review, times, known) = match arguments.as_slice() {
        [config, review, times] => (config, review, times, Known::Nothing),
        [config, review, times, "reports"] => (config, review, times, Known::Reports),
        [config, review, times, "discover"] => (config, review, times, Known::OwnSecrets),
        _ => return Err("usage: answer MAPPING REVIEW TIMES [reports | discover]".into()),
    };
    let mut mapping = mapping::parse(&fs::read_to_string(config)?)?;
    let body = fs::read(review)?;
    let namespace = review::parse(&body)?.namespace.to_string();
    if known == Known::OwnSecrets {
        mapping = mapping.with_discover(vec![namespace.parse()?]);
    }
    let known = match known {
        Known::Nothing => Knowledge::default(),
        known => knowledge(&mapping, &namespace, known == Known::OwnSecrets)?,
    };
    for _ in 0..times.parse()? {
        let request = review::parse(black_box(&body))?;
        let known = known.namespace(&request.namespace);
        black_box(answer::respond(&request.uid, &decide(&request, &mapping, known))?);
    }
    Ok(())
}

/// Reports of ten thousand namespaces, in which all is as it should be.
fn knowledge(mapping: &Mapping, namespace: &str, own: bool) -> Result<Knowledge, Unusable> {
    let secret = |name, keys| ReportedSecret {
        name,
        state: ReportedState::Ready,
        reason: None,
        expired_at: None,
        keys,
    };
    let names = mapping.rules().iter().map(|rule| &rule.secret).chain(mapping.always());
    let mut names: Vec<String> = names.map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    let mut secrets: Vec<_> = names.into_iter().map(|name| secret(name, None)).collect();
    if own {
        let keys =
            |n| vec![format!("https://registry-{n}.example.com/v2/"), format!("{n}.gcr.io/team")];
        secrets.extend((0..10).map(|n| secret(format!("own-{n}"), Some(keys(n)))));
    }
    let status = PullSecretStatus { secrets, ..Default::default() };
    let mut known = Knowledge::default();
    known.set_fresh(true);
    for other in 1..10_000 {
        known.insert(ReportedSecrets::of(&format!("team-{other}"), &status)?);
    }
    known.insert(ReportedSecrets::of(namespace, &status)?);
    Ok(known)
}
