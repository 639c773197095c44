//! Any text is a mapping or is refused with a bounded message; and each pattern of a mapping covers its own image.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcred::core::image::ImageRef;
use pullcred::core::rules::{Mapping, Rule};
use pullcred::mapping;

const IMAGES: [&str; 6] = [
    "nginx",
    "quay.io/acme/app:1.2",
    "QUAY.io/acme/app",
    "registry:5000/app",
    "[fd00::1]:5000/app",
    "my_host.io/app",
];

/// As many patterns of one mapping as are tried, so that a large one does not take all the time.
const PATTERNS: usize = 32;

fuzz_target!(|text: &str| {
    match mapping::parse(text) {
        Ok(mapping) => {
            for image in IMAGES {
                let image = ImageRef::parse(image).expect("an image");
                let _ = mapping.secrets(&mut found(&mapping, &image, "team-a"));
            }
            for rule in mapping.rules().iter().take(PATTERNS) {
                covers_its_own_images(&mapping, rule);
            }
        }
        Err(error) => {
            assert!(error.line() >= 1 && error.column() >= 1, "{error}");
            let shown = format!("{error:#}");
            assert!(shown.len() < 20_000, "{} bytes: {shown}", shown.len());
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        }
    }
});

fn found<'m>(
    mapping: &'m Mapping,
    image: &ImageRef<'_>,
    namespace: &str,
) -> Vec<pullcred::core::rules::Match<'m>> {
    let mut found = Vec::new();
    mapping.matches(image, namespace, &mut found);
    found
}

/// A `*` may be any text, so also `a`.
fn covers_its_own_images(mapping: &Mapping, rule: &Rule) {
    let namespace = rule
        .namespaces
        .first()
        .map_or_else(|| "any".to_owned(), |name| name.as_str().replace('*', "a"));
    for pattern in rule.patterns.iter().take(PATTERNS) {
        let host = pattern.host().replace('*', "a");
        // A path may end in the slash that parts it from what follows.
        let image = [&host, pattern.path().trim_end_matches('/'), "app"]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/");
        // No image has a longer path; then there is nothing to cover.
        if pattern.path().len() > 250 {
            continue;
        }
        let image =
            ImageRef::parse(&image).unwrap_or_else(|error| panic!("{pattern}: {image}: {error}"));
        let mut found = found(mapping, &image, &namespace);
        assert!(
            found.iter().any(|found| std::ptr::eq(found.pattern, pattern)),
            "{pattern} {image} {namespace}"
        );
        assert!(mapping.secrets(&mut found).contains(&&rule.secret));
        assert!(found.is_sorted_by(|a, b| a.rank < b.rank));
    }
}
