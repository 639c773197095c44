//! Any bytes are a password that says when it ends, or says nothing; and what it says can be written as a time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcred_core::expiry::{Life, Phase};

fuzz_target!(|bytes: &[u8]| {
    let Some(life) = Life::of_password(bytes) else { return };
    assert!((1..=253_402_300_799).contains(&life.ends), "no year before 10,000");
    assert!(life.issued.is_none_or(|it| it < life.ends), "it ends after it began");
    assert!(life.soon() <= life.ends && life.ends - life.soon() <= 7 * 24 * 3600);
    assert_eq!(life.phase(life.ends), Phase::Ended);
    let mut now = 0;
    let mut phases = 0;
    while let Some(next) = life.next_phase(now) {
        assert!(next > now && life.phase(next) > life.phase(now).min(Phase::EndsSoon));
        (now, phases) = (next, phases + 1);
    }
    assert!(phases <= 2);
});
