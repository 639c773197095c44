//! Whether a registry opens an image with the logins of a Secret.

use super::registry::Registry;
use crate::{
    core::{
        image::ImageRef,
        keyring::{Keyring, RegistryKey},
    },
    registry::{Http, Login, Question, Verdict, probe},
};

/// Asks a registry for the manifest of `image`, with each login that a node would try, until one opens it. None where the
/// Secret has no login for it.
pub(super) async fn verify(
    http: &Http,
    image: &ImageRef<'_>,
    logins: &[(Registry, Login)],
) -> Option<Verdict> {
    let keyring = Keyring::new([("", logins.iter().map(|(registry, _)| registry.key()))]);
    let offers = keyring.lookup(image);
    let login = |key: &RegistryKey| logins.iter().find(|(registry, _)| registry.key() == *key);
    let mut verdict = None;
    for (_, login) in offers.iter().filter_map(|offer| login(offer.key)) {
        let probed = probe(http, image, Question::Image, login).await;
        let is_good = probed.outcome.is_good();
        verdict = Some(Verdict { user: login.username().to_owned(), probed });
        if is_good {
            break;
        }
    }
    verdict
}
