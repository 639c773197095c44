//! What the known states of a namespace's Secrets change in a decision.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashSet};

use super::{SecretDecision, SecretOutcome, added};
use crate::{
    image::ImageRef,
    keyring::{Keyring, Registries, RegistryKey},
    knowledge::{Keys, KnownSecret, NamespaceKnowledge, Obstacle},
    pod::Pod,
    reports::ReportedState,
    rules::{Mapping, Needed, Rule},
    warnings::{Fault, Warnings},
};

/// The most images of a Pod that registry keys are compared with: enough for any real Pod, and a limit for a hostile one.
const IMAGES: usize = 256;
/// The most Secrets of the mapping whose registry keys are compared with images, likewise.
const COMPARED: usize = 16;
/// The most Secrets that a Pod gets by discovery.
const DISCOVERED: usize = 8;

/// What is known of the Secrets in a Pod's namespace.
pub(super) struct Known<'a, 'n> {
    secrets: NamespaceKnowledge<'a>,
    pod: &'n Pod<'n>,
    namespace: &'n str,
    mapping: &'a Mapping,
    needed: &'n Needed<'a>,
    /// The Pod's images, each once; most decisions need none of them.
    images: OnceCell<Vec<ImageRef<'n>>>,
    compared: Cell<usize>,
}

// === impl Known ===

impl<'a, 'n> Known<'a, 'n> {
    pub(super) fn new(
        secrets: NamespaceKnowledge<'a>,
        pod: &'n Pod<'_>,
        namespace: &'n str,
        mapping: &'a Mapping,
        needed: &'n Needed<'a>,
    ) -> Self {
        let (images, compared) = (OnceCell::new(), Cell::new(0));
        Self { secrets, pod, namespace, mapping, needed, images, compared }
    }

    /// The outcome for a Secret that the mapping names for an image, or else for every Pod. Warns of what people should know.
    pub(super) fn outcome(
        &self,
        name: &'a str,
        for_image: bool,
        listed: bool,
        warnings: &mut Warnings,
    ) -> SecretOutcome {
        let added = added(listed);
        let Some(secret) = self.secrets.secret(name) else { return added };
        let missing = matches!(secret.state, ReportedState::Missing | ReportedState::Pending);
        let withheld = !listed
            && if for_image {
                missing && self.needed.is_skipped_when_missing(name)
            } else {
                secret.state == ReportedState::Unreadable
            };
        let pending = secret.state == ReportedState::Pending;
        let fault = match (for_image, withheld) {
            (true, true) => Some(Fault::Skipped { pending }),
            (true, false) => self.fault(secret),
            (false, true) => Some(Fault::WouldFailPulls),
            // Nothing waits for a Secret that no image needs, but it may still do harm.
            (false, false) => {
                (secret.state == ReportedState::Unreadable).then_some(Fault::Unreadable)
            }
        };
        if let Some(fault) = fault {
            warnings.secret(name, self.namespace, &fault);
        }
        if withheld { SecretOutcome::Withheld(secret.state) } else { added }
    }

    /// What is wrong with a Secret for the images that need it.
    fn fault(&self, secret: KnownSecret<'a>) -> Option<Fault> {
        let KnownSecret { name, state, obstacle, expired_at, keys } = secret;
        match state {
            ReportedState::Pending => Some(match obstacle {
                None => Fault::Pending,
                Some(Obstacle::Quota) => Fault::NoRoom,
                Some(Obstacle::LoginRefused | Obstacle::Other) => Fault::NotWritten,
            }),
            ReportedState::Missing if obstacle == Some(Obstacle::LoginRefused) => {
                Some(Fault::LoginRefused)
            }
            ReportedState::Missing => {
                let is_filled = |rule: &Rule| rule.fill.is_some();
                let by_login = obstacle.is_some() || self.needed.rules(name).any(is_filled);
                Some(if by_login { Fault::LoginMissing } else { Fault::Missing })
            }
            ReportedState::WrongType => Some(Fault::WrongType),
            ReportedState::Unreadable => Some(Fault::Unreadable),
            ReportedState::Expired => Some(Fault::Expired(expired_at.map(str::to_owned))),
            ReportedState::Refused => Some(Fault::Refused),
            ReportedState::Conflict => self
                .not_opened(name, keys?)
                .map(|image| Fault::OpensNothing { image, theirs: true }),
            ReportedState::Ready => self
                .not_opened(name, keys?)
                .map(|image| Fault::OpensNothing { image, theirs: false }),
            ReportedState::Unknown => None,
        }
    }

    /// The first image for which the mapping names this Secret, if its keys open none of these images.
    fn not_opened(&self, secret: &str, keys: Keys<'_>) -> Option<String> {
        if self.compared.replace(self.compared.get() + 1) >= COMPARED {
            return None;
        }
        let keyring = Keyring::new([(secret, keys.iter().map(RegistryKey::from))]);
        let mut found = Vec::new();
        let mut first = None;
        for image in self.images() {
            found.clear();
            self.mapping.matches(image, self.namespace, &mut found);
            if !found.iter().any(|it| it.secret.as_str() == secret) {
                continue;
            }
            if !keyring.lookup(image).is_empty() {
                return None;
            }
            first.get_or_insert(image);
        }
        first.map(ImageRef::name)
    }

    /// The Secrets that exist in the namespace and that a kubelet offers for the Pod's images, beside those that the mapping
    /// names already, by name. If there are too many, those count that are tried first for some image.
    pub(super) fn discovered(&self, by_mapping: &[SecretDecision<'_>]) -> Vec<&'a str> {
        if !self.mapping.discovers(self.namespace) {
            return Vec::new();
        }
        // Of the keys in a namespace, most are of other registries, and a key costs much more in a keyring than here.
        let registries = Registries::of(self.images());
        let keys = |it: &KnownSecret<'a>| {
            let keys = it.keys.into_iter().flat_map(Keys::iter);
            keys.filter(|key| registries.may_have(key))
        };
        let found = self.secrets.readable().filter(|it| keys(it).next().is_some());
        let mut found: Vec<KnownSecret<'a>> = found.collect();
        if found.is_empty() {
            return Vec::new();
        }
        let wanted: HashSet<&str> = by_mapping.iter().map(|it| it.name).collect();
        found.retain(|it| !wanted.contains(it.name));
        let keyring =
            Keyring::new(found.iter().map(|it| (it.name, keys(it).map(RegistryKey::from))));
        let mut ranks: BTreeMap<usize, usize> = BTreeMap::new();
        for offer in self.images().iter().flat_map(|image| keyring.lookup(image)) {
            let rank = ranks.entry(offer.position).or_insert(offer.rank);
            *rank = offer.rank.min(*rank);
        }
        let mut offered: Vec<(usize, usize)> =
            ranks.into_iter().map(|(at, rank)| (rank, at)).collect();
        offered.sort_unstable();
        offered.truncate(DISCOVERED);
        let mut names: Vec<&str> =
            offered.iter().filter_map(|&(_, at)| found.get(at)).map(|it| it.name).collect();
        names.sort_unstable();
        names
    }

    fn images(&self) -> &[ImageRef<'n>] {
        self.images.get_or_init(|| {
            let mut seen = HashSet::new();
            let images = self.pod.images().filter(|image| seen.insert(image.reference));
            images.filter_map(|image| ImageRef::parse(image.reference).ok()).take(IMAGES).collect()
        })
    }
}
