//! The warnings in a response, for the user who creates the Pod.
//!
//! `kubectl` prints them. The API server cuts them once they are long in sum, and drops one that holds control
//! characters (apiserver: endpoints/filters/warning.go; apimachinery: util/net/http.go, `NewWarningHeader`).

use std::fmt::{self, Display};

use super::{image::ImageError, json::shorten, pod::PodImage, review::UnreadablePod};

/// The most warnings in a response.
const WARNINGS: usize = 3;
/// The most characters in a warning.
const CHARACTERS: usize = 120;
/// The most characters of a name or an image within a warning, so that the reason stays readable.
const QUOTED: usize = 30;

/// The same within a warning about a Secret, which may have a name, a namespace and an image in it.
const NAMED: usize = 28;

/// What is wrong with a Secret that a Pod is to have, or what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its login has expired, and when it did, as RFC 3339, where that is known.
    Expired(Option<String>),
    /// pullcred fills it, but cannot get its login.
    LoginMissing,
    /// pullcred fills it, but a registry refuses its login.
    LoginRefused,
    /// People have not made it.
    Missing,
    /// A quota of the namespace leaves no room for it.
    NoRoom,
    /// The API server refuses what pullcred writes.
    NotWritten,
    /// Its keys open none of the images that it is named for.
    OpensNothing {
        /// The first of these images.
        image: String,
        /// Whether it has the name of a copy, and somebody else has made it.
        theirs: bool,
    },
    /// pullcred is about to write it.
    Pending,
    /// The registry refuses its login.
    Refused,
    /// It is missing, and its rule says to leave it out.
    Skipped {
        /// Whether pullcred is about to write it.
        pending: bool,
    },
    /// The kubelet cannot read it.
    Unreadable,
    /// The same, and no image needs it.
    WouldFailPulls,
    /// The kubelet passes over its type.
    WrongType,
}

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

    /// Adds a warning about a Secret that the Pod is to have.
    pub(super) fn secret(&mut self, name: &str, namespace: &str, fault: &Fault) {
        if self.secrets.len() < WARNINGS {
            let (name, namespace) = (shorten(name, NAMED), shorten(namespace, NAMED));
            self.secrets.push(clean(&InNamespace { name: &name, namespace: &namespace, fault }));
        }
    }

    /// The texts, and how many of them are about images: those come first.
    pub(super) fn into_texts(mut self) -> (Vec<String>, usize) {
        if self.total > WARNINGS {
            let more = self.total - (WARNINGS - 1);
            self.first.truncate(WARNINGS - 1);
            self.first.push(format!(
                "{more} more images are skipped: they are not valid image references"
            ));
        }
        let of_images = self.first.len();
        let free = WARNINGS.saturating_sub(of_images);
        self.first.extend(self.secrets.into_iter().take(free));
        (self.first, of_images)
    }
}

/// A warning about a Secret in a namespace.
struct InNamespace<'w> {
    name: &'w str,
    namespace: &'w str,
    fault: &'w Fault,
}

impl Display for InNamespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, namespace, fault } = self;
        write!(f, "pull secret {name} ")?;
        match fault {
            Fault::Expired(None) => {
                f.write_str("has an expired login: pulls fail until it is renewed")
            }
            Fault::Expired(Some(at)) => {
                write!(f, "has a login that ended at {at}: pulls fail until it is renewed")
            }
            Fault::LoginMissing => {
                write!(f, "is not in namespace {namespace}: pullcred lacks its login")
            }
            Fault::LoginRefused => {
                write!(f, "is not in namespace {namespace}: a registry refuses its login")
            }
            Fault::Missing => {
                write!(f, "is not in namespace {namespace}: create it, or pulls fail")
            }
            Fault::NoRoom => write!(f, "is not in namespace {namespace}: its quota leaves no room"),
            Fault::NotWritten => {
                write!(f, "is not in namespace {namespace}: the API server refuses it")
            }
            Fault::OpensNothing { image, theirs } => {
                let image = shorten(image, NAMED);
                let instead = match theirs {
                    true => "delete it and pullcred makes it",
                    false => "add one, or ask its owner",
                };
                write!(f, "has no login for {image}: {instead}")
            }
            Fault::Pending => {
                write!(f, "is not in namespace {namespace} yet: pullcred is copying it")
            }
            Fault::Refused => {
                f.write_str("has a login that its registry refuses: ask who runs pullcred")
            }
            Fault::Skipped { pending } => {
                let yet = if *pending { " yet" } else { "" };
                write!(f, "is not in namespace {namespace}{yet}: left out by its rule")
            }
            Fault::Unreadable => f.write_str(
                "cannot be read, and fails every pull of this Pod: correct or delete it",
            ),
            Fault::WouldFailPulls => f.write_str(
                "cannot be read, and would fail every pull: left out until it is corrected",
            ),
            Fault::WrongType => {
                f.write_str("is of a type that kubelets skip: use kubernetes.io/dockerconfigjson")
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_warning_about_a_secret_has_its_advice_whatever_the_names() {
        let long = "n".repeat(253);
        let of = |fault: &Fault| {
            let mut warnings = Warnings::default();
            warnings.secret(&long, &long, fault);
            warnings.into_texts().0.concat()
        };
        for fault in [
            Fault::Expired(None),
            Fault::Expired(Some("2026-01-01T00:00:00Z".to_owned())),
            Fault::LoginMissing,
            Fault::LoginRefused,
            Fault::Missing,
            Fault::NoRoom,
            Fault::NotWritten,
            Fault::OpensNothing { image: long.clone(), theirs: true },
            Fault::OpensNothing { image: long.clone(), theirs: false },
            Fault::Pending,
            Fault::Refused,
            Fault::Skipped { pending: true },
            Fault::Skipped { pending: false },
            Fault::Unreadable,
            Fault::WouldFailPulls,
            Fault::WrongType,
        ] {
            let text = of(&fault);
            assert!(text.chars().count() <= CHARACTERS && !text.ends_with('…'), "{text}");
        }
    }
}
