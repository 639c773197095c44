//! The warnings in a response, for the user who creates the Pod.
//!
//! `kubectl` prints them. The API server cuts them once they are long in sum, and drops one that holds control
//! characters (apiserver: endpoints/filters/warning.go; apimachinery: util/net/http.go, `NewWarningHeader`).

use std::fmt::Display;

use super::{image::ImageError, json::shorten, pod::PodImage, review::UnreadablePod};

/// The most warnings in a response.
const WARNINGS: usize = 3;
/// The most characters in a warning.
const CHARACTERS: usize = 120;
/// The most characters of a name or an image within a warning, so that the reason stays readable.
const QUOTED: usize = 30;

/// The warnings of one decision: the first few about images with the number of further ones, and then those about Secrets.
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

    /// Adds a warning about the fault of a Secret that the Pod needs.
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
                "{more} more images are skipped: they are not valid image references"
            ));
        }
        let free = WARNINGS.saturating_sub(self.first.len());
        self.first.extend(self.secrets.into_iter().take(free));
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
