//! Any text is an image reference or it is not; and what is one means the same when it is written out in full.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcred_core::image::ImageRef;

fuzz_target!(|image: &str| {
    match ImageRef::parse(image) {
        Ok(parsed) => {
            assert!(!parsed.repository().is_empty());
            assert!(parsed.tag().is_some() || parsed.digest().is_some());
            let written_out = parsed.to_string();
            let again = ImageRef::parse(&written_out);
            assert_eq!(again.as_ref(), Ok(&parsed), "{image:?} as {written_out:?}");
        }
        // A message goes into a warning of at most 120 characters, with the name of the container before it.
        Err(error) => assert!(error.to_string().chars().count() <= 120, "{error}"),
    }
});
