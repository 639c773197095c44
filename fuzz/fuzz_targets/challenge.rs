//! Any text is a list of challenges, read up to its first mistake; and what is read stands in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcred::registry::challenge::Challenge;
use pullcred::registry::is_loopback;

fuzz_target!(|header: &str| {
    let lower = header.to_ascii_lowercase();
    match Challenge::read(header) {
        Some(Challenge::Basic) => assert!(lower.contains("basic"), "{header:?}"),
        Some(Challenge::Bearer { realm, .. }) => {
            assert!(lower.contains("bearer") && lower.contains("realm"), "{header:?}");
            assert!(realm.len() <= header.len(), "{header:?}");
        }
        None => {}
    }
    let _ = is_loopback(header);
});
