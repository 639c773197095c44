//! Any text is the key of an entry. A key that the kubelet offers for an image has no reason why it does not match.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcred_core::image::ImageRef;
use pullcred_core::keyring::{Keyring, RegistryKey, near_miss};

fuzz_target!(|input: (&str, &str)| {
    let (key, image) = input;
    let key = RegistryKey::from(key);
    let shown = key.to_string();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    let index = key.index_key();
    let Ok(image) = ImageRef::parse(image) else { return };
    let keyring = Keyring::new([("secret", [key.clone()])]);
    let is_offered = !keyring.lookup(&image).is_empty();
    assert!(!is_offered || index.is_some(), "{key:?} is dropped and offered");
    let reason = near_miss(&key, &image);
    assert!(!is_offered || reason.is_none(), "{key:?} is offered, and yet {reason:?}");
    assert_eq!(keyring.near_misses(&image).is_empty(), reason.is_none());
});
