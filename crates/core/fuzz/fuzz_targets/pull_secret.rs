//! Any bytes are a pull Secret, are passed over, or are refused with a bounded message; and a keyring can be made of them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcred_core::image::ImageRef;
use pullcred_core::keyring::Keyring;
use pullcred_core::keyring::secret::{self, Contents, Form};

const IMAGES: [&str; 6] = [
    "nginx",
    "quay.io/acme/app:1.2",
    "QUAY.io/acme/app",
    "registry:5000/app",
    "[fd00::1]:5000/app",
    "registry-vpc.cn-hangzhou.aliyuncs.com/acme/app",
];

fuzz_target!(|input: (bool, &[u8])| {
    let (is_older, text) = input;
    let form = if is_older { Form::DockerCfg } else { Form::DockerConfigJson };
    let data = |key: &str| (key == form.data_key()).then_some(text);
    let contents = match secret::read(form.type_(), data) {
        Ok(contents) => contents,
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.len() < 2_000, "{} bytes: {shown}", shown.len());
            return;
        }
    };
    for flaw in secret::flaws(form.type_(), data, &contents) {
        let shown = flaw.to_string();
        assert!(shown.len() < 2_000, "{} bytes: {shown}", shown.len());
    }
    let Contents::Entries(entries) = contents else { return };
    let keys = entries.into_iter().map(|entry| entry.key);
    let keyring = Keyring::new([("secret", keys)]);
    for image in IMAGES {
        let image = ImageRef::parse(image).expect("an image");
        let offers = keyring.lookup(&image);
        assert!(offers.is_sorted_by_key(|offer| offer.rank));
        let _ = keyring.near_misses(&image);
    }
});
