//! Every answer of the upstream code in `tests/vectors`, asked again of `core`.

use std::fmt::Debug;

use pullcred::core::image::ImageRef;
use serde::{Deserialize, de::DeserializeOwned};

/// One line of `images.jsonl`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageVector {
    id: String,
    image: String,
    valid: bool,
    #[serde(default)]
    name: String,
    registry: String,
    repository: String,
    tag: String,
    digest: String,
    #[serde(default)]
    why: String,
    /// A reason for people: upstream's words are not ours.
    #[serde(default, rename = "error")]
    _error: String,
}

/// Reads a file of vectors, one JSON object a line.
fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<Vec<T>> {
    text.lines().map(serde_json::from_str).collect()
}

/// The vectors whose answers differ from upstream's, for a person to read.
fn differences<T, A: PartialEq + Debug>(
    vectors: &[T],
    describe: fn(&T) -> String,
    answers: fn(&T) -> (A, A),
) -> Vec<String> {
    let difference = |vector| {
        let (ours, upstream) = answers(vector);
        (ours != upstream)
            .then(|| format!("{}: {ours:?}, but upstream {upstream:?}", describe(vector)))
    };
    vectors.iter().filter_map(difference).collect()
}

#[test]
fn images_mean_what_they_mean_to_the_kubelet() -> serde_json::Result<()> {
    let vectors: Vec<ImageVector> = read(include_str!("vectors/images.jsonl"))?;
    assert_eq!(vectors.len(), 1215, "the file is whole");
    let differences = differences(
        &vectors,
        |vector| format!("{} {:?} ({})", vector.id, vector.image, vector.why),
        |vector| {
            let ours = ImageRef::parse(&vector.image).ok().map(|image| {
                [
                    image.name(),
                    image.registry().to_owned(),
                    image.repository().into_owned(),
                    image.tag().unwrap_or_default().to_owned(),
                    image.digest().unwrap_or_default().to_owned(),
                ]
            });
            let upstream = vector.valid.then(|| {
                [&vector.name, &vector.registry, &vector.repository, &vector.tag, &vector.digest]
                    .map(Clone::clone)
            });
            (ours, upstream)
        },
    );
    assert_eq!(differences, Vec::<String>::new());
    Ok(())
}
