//! The state of the Secrets in a namespace, as far as it is known.

use std::collections::BTreeMap;

/// The states of the Secrets in one namespace, by name. A Secret without a state is treated as if its state were fine: the
/// decision adds its name.
///
/// The list of a stored Pod cannot change. So the decision adds a name that an image needs in any state: a name without a
/// Secret delays the Pod until the Secret exists, but a Pod without the name never starts.
#[derive(Debug, Clone, Default)]
pub struct NamespaceKnowledge {
    secrets: BTreeMap<Box<str>, SecretState>,
}

/// The states of the Secrets in all namespaces, by the namespace's name.
pub type Knowledge = BTreeMap<Box<str>, NamespaceKnowledge>;

/// The state of a Secret, from the kubelet's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretState {
    /// The registry has refused its login, or the login has expired.
    Dead,
    /// The namespace has no Secret of this name.
    Missing,
    /// It holds no login for the registries that the mapping names it for.
    OpensNothing,
    /// The kubelet can read it.
    Ready,
    /// The kubelet cannot read it, and fails every pull of a Pod that lists it.
    Unreadable,
    /// It is of a type that the kubelet passes over.
    WrongType,
}

// === impl NamespaceKnowledge ===

impl NamespaceKnowledge {
    /// The state of the Secret of this name; `None` where it is unknown.
    #[must_use]
    pub fn state(&self, secret: &str) -> Option<SecretState> {
        self.secrets.get(secret).copied()
    }
}

impl<N: Into<Box<str>>> FromIterator<(N, SecretState)> for NamespaceKnowledge {
    fn from_iter<I: IntoIterator<Item = (N, SecretState)>>(secrets: I) -> Self {
        Self { secrets: secrets.into_iter().map(|(name, state)| (name.into(), state)).collect() }
    }
}

// === impl SecretState ===

impl SecretState {
    /// The fault of the Secret, as a sentence that starts with its name continues; `None` for a Secret without fault.
    pub(crate) fn fault(self) -> Option<&'static str> {
        match self {
            Self::Dead => Some("holds a login that the registry no longer accepts"),
            Self::Missing => Some("is not in the namespace: images that need it wait for it"),
            Self::OpensNothing => Some("has no login for the registries that need it"),
            Self::Ready => None,
            Self::Unreadable => {
                Some("cannot be read by a kubelet, and fails every pull of the Pod")
            }
            Self::WrongType => Some("is of a type that kubelets pass over"),
        }
    }
}
