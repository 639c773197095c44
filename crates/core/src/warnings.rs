//! The warnings that an answer carries to the person who creates the Pod.
//!
//! `kubectl` prints them. The API server cuts them once they are long in sum, and drops one that holds control
//! characters (apiserver: endpoints/filters/warning.go; apimachinery: util/net/http.go, `NewWarningHeader`).

use std::fmt::Display;

use super::{image::ImageError, json::shorten, pod::PodImage, review::UnreadablePod};

/// At most so many warnings an answer.
const WARNINGS: usize = 3;
/// At most so many characters a warning.
const CHARACTERS: usize = 120;
/// At most so many characters of a name or an image within a warning, so that the reason stays readable.
const QUOTED: usize = 30;

/// The warnings of one decision: the first few about images and how many more there would be, and then those about Secrets.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    first: Vec<String>,
    total: usize,
    secrets: Vec<String>,
}

impl Warnings {
    pub(super) fn skipped_image(&mut self, image: &PodImage<'_>, error: &ImageError) {
        self.total += 1;
        if self.first.len() < WARNINGS {
            self.first.push(clean(&format!(
                "{} {}: image {} is skipped: {error}",
                image.field.owner_kind(),
                quote(image.owner),
                quote(image.reference),
            )));
        }
    }

    /// That something is wrong with a Secret that the Pod needs.
    pub(super) fn secret(&mut self, name: &str, fault: &str) {
        if self.secrets.len() < WARNINGS {
            self.secrets.push(clean(&format!("pull secret {} {fault}", shorten(name, QUOTED))));
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<String> {
        if self.total > WARNINGS {
            let more = self.total - (WARNINGS - 1);
            self.first.truncate(WARNINGS - 1);
            self.first.push(format!(
                "{more} more images are skipped: they are no valid image references"
            ));
        }
        let room = WARNINGS.saturating_sub(self.first.len());
        self.first.extend(self.secrets.into_iter().take(room));
        self.first
    }
}

pub(super) fn unreadable_pod(error: &UnreadablePod) -> String {
    clean(&format!("no pull secret was looked up, the Pod could not be read: {error}"))
}

fn quote(text: &str) -> String {
    format!("{:?}", shorten(text, QUOTED))
}

/// One line of at most [`CHARACTERS`] characters, without control characters.
fn clean(text: &impl Display) -> String {
    let text: String =
        text.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shorten(&text, CHARACTERS).into_owned()
}
