//! What holds for every image and every registry key.

use proptest::prelude::*;
use pullcred_core::{
    image::ImageRef,
    keyring::{
        Keyring, RegistryKey, near_miss,
        secret::{self, Contents},
    },
};

/// Text that fits the grammar of image references, in all its parts.
fn reference() -> impl Strategy<Value = String> {
    let registry = prop_oneof![
        Just(String::new()),
        "(docker\\.io|index\\.docker\\.io|localhost|my_host\\.io|[A-Z]{1,3})/",
        "[a-z][a-z0-9]{0,4}(-[a-z0-9]{1,3})?\\.[a-zA-Z]{2,3}(:[0-9]{1,5})?/",
        "\\[[0-9a-f:]{0,4}:[0-9a-f]{0,4}\\](:[0-9]{1,5})?/",
    ];
    let path = "(library/)?[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3})?(/[a-z0-9]{1,4}){0,2}";
    let tag = "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,6})?";
    let digest = "(@(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?";
    (registry, path, tag, digest)
        .prop_map(|(registry, path, tag, digest)| registry + &path + &tag + &digest)
}

/// Text in the alphabet of references, most of it none, and any text at all.
fn anything() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c.A_:/@-]{0,8}",
        "[a-zA-Z0-9./:@_\\[\\] -]{0,300}",
        "\\PC{0,300}",
        any::<String>()
    ]
}

proptest! {
    #[test]
    fn whatever_fits_the_grammar_is_a_reference(text in reference()) {
        prop_assert!(ImageRef::parse(&text).is_ok(), "{text}");
    }

    #[test]
    fn every_text_is_a_reference_or_a_short_error(text in anything()) {
        if let Err(err) = ImageRef::parse(&text) {
            prop_assert!(err.to_string().chars().count() <= 120, "{err}");
        }
    }

    #[test]
    fn a_reference_in_full_means_the_same(text in prop_oneof![reference(), anything()]) {
        let Ok(image) = ImageRef::parse(&text) else { return Ok(()) };
        let full = image.to_string();
        prop_assert_eq!(ImageRef::parse(&full), Ok(image));

        let name = image.name();
        let named = ImageRef::parse(&name).map_err(|err| TestCaseError::fail(err.to_string()))?;
        prop_assert_eq!(&named.name(), &name);
        prop_assert_eq!(named.registry(), image.registry());
        prop_assert_eq!(named.repository(), image.repository());
    }

    #[test]
    fn the_parts_of_a_reference_keep_to_its_rules(text in prop_oneof![reference(), anything()]) {
        let Ok(image) = ImageRef::parse(&text) else { return Ok(()) };
        let repository = image.repository();
        prop_assert!(repository.len() <= 255);
        prop_assert!(!repository.contains(|char: char| char.is_uppercase() || char.is_whitespace()));
        prop_assert!(image.tag().is_some() || image.digest().is_some());
        prop_assert_eq!(image.is_official(), image.registry() == "docker.io" && repository.starts_with("library/") && repository.matches('/').count() == 1);
        prop_assert!(repository.ends_with(image.path()));
    }

    #[test]
    fn a_key_is_offered_or_missed_but_never_both(key in key(), image in reference()) {
        let Ok(image) = ImageRef::parse(&image) else { return Ok(()) };
        let key = RegistryKey::from(key);
        let keyring = Keyring::new([("pull", [key.clone()])]);
        let offers = keyring.lookup(&image);
        let missed = keyring.near_misses(&image);
        prop_assert!(offers.len() + missed.len() <= 1, "{offers:?} {missed:?}");
        prop_assert_eq!(near_miss(&key, &image), missed.first().map(|missed| missed.reason));
    }

    #[test]
    fn any_bytes_are_a_secret_or_an_error(bytes in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        "[\\[\\]{}:,\"\\\\u0-9a-f \n-]{0,40}".prop_map(String::into_bytes),
    ]) {
        for type_ in ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"] {
            let contents = secret::read(type_, |_| Some(&bytes));
            if serde_json::from_slice::<serde_json::Value>(&bytes).is_ok_and(|value| value.is_array()) {
                prop_assert!(contents.is_err());
            } else if let Ok(Contents::Entries(entries)) = contents {
                prop_assert!(entries.is_sorted_by(|one, next| one.key < next.key));
            }
        }
    }
}

/// Keys that have something to do with the images of [`reference`], and any text at all.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => ("(https?://|HTTPS://|//)?", reference()).prop_map(|(scheme, name)| scheme + &name),
        2 => "(https://)?(index\\.)?docker\\.io(:443)?(/v1|/v2|/library)?/?",
        2 => "(\\*|[a-z]\\*|[a-z]\\?)(\\.\\*|\\.[a-z]{2})?(:[0-9]{1,2})?(/[a-z*])?",
        1 => any::<String>(),
    ]
}
