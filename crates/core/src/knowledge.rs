//! What is known of the Secrets of a namespace, beside the mapping.

use std::collections::BTreeMap;

/// What is known of the Secrets of one namespace. A name that is not in it is unknown, and unknown means what it means
/// without any knowledge: the name is added.
///
/// The list of a stored Pod cannot change. So a name that an image needs is added whatever is known: a name too early costs
/// a pause of the kubelet, a name left out costs the Pod.
#[derive(Debug, Clone, Default)]
pub struct NamespaceKnowledge {
    secrets: BTreeMap<Box<str>, SecretState>,
}

/// What is known of all namespaces, by name.
pub type Knowledge = BTreeMap<Box<str>, NamespaceKnowledge>;

/// What is known of a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretState {
    /// The registry has refused its login, or the login has expired.
    Dead,
    /// There is none.
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
    /// What is known of the Secret of this name; `None` where nothing is.
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
    /// What is wrong with the Secret, as it goes on after its name; `None` where nothing is.
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
