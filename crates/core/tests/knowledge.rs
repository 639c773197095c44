//! What ten thousand reports take in memory. The allocator of this test counts, so it has one test only.

#![cfg(test)]

use peak_alloc::PeakAlloc;
use pullcred_core::{
    knowledge::{Knowledge, ReportedSecrets},
    reports::{PullSecretStatus, ReportedSecret, ReportedState},
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const NAMESPACES: usize = 10_000;
const MIB: usize = 1 << 20;

/// Three copies, and two Secrets of the namespace's own with two registry keys each.
fn report(namespace: usize, state: ReportedState) -> ReportedSecrets {
    let secret = |name: String, keys: Option<Vec<String>>| ReportedSecret {
        name,
        state,
        reason: None,
        expired_at: None,
        keys,
    };
    let copies = (0..3).map(|n| secret(format!("pull-registry-{n}"), None));
    let own = (0..2).map(|n| {
        let key = |part: &str| format!("registry.team-{namespace}.example.com/{part}");
        secret(format!("team-{namespace}-{n}"), Some(vec![key("apps"), key("base")]))
    });
    let secrets = copies.chain(own).collect();
    let status = PullSecretStatus { secrets, ..Default::default() };
    ReportedSecrets::of(&format!("team-{namespace}-staging"), &status).unwrap()
}

#[test]
fn ten_thousand_namespaces_take_at_most_six_mebibytes() {
    let before = ALLOCATOR.current_usage();
    let mut known = Knowledge::default();
    for namespace in 0..NAMESPACES {
        assert!(known.insert(report(namespace, ReportedState::Ready)));
    }
    let taken = ALLOCATOR.current_usage() - before;
    println!("{NAMESPACES} namespaces with five Secrets take {} KiB", taken >> 10);
    assert!(taken <= 6 * MIB, "{taken} bytes");

    // A reader has what was published, while each namespace changes: no more than twice that, in small steps.
    ALLOCATOR.reset_peak_usage();
    let mut published = known.clone();
    for namespace in 0..NAMESPACES {
        known.insert(report(namespace, ReportedState::Missing));
        if namespace % 100 == 0 {
            published = known.clone();
        }
    }
    let peak = ALLOCATOR.peak_usage() - before;
    println!("at most {} KiB while all of them change", peak >> 10);
    assert!(peak <= taken + 2 * MIB, "{peak} bytes");
    drop(published);
    drop(known);
    assert!(ALLOCATOR.current_usage() - before < MIB, "all is given back");
}
