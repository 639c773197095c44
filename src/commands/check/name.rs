//! The names of checks.

use std::fmt;

use serde::{Serialize, Serializer};

/// What was checked: a name for programs, which stays the same from release to release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// A login that an annotation of its Secret repeats.
    AppliedLogin,
    /// The webhook configuration's `caBundle`.
    CaBundle,
    /// What the webhook's Pods serve with.
    Certificate,
    /// A copy that pullcred has not made.
    CopyMissing,
    /// A copy that is not what its login has now.
    CopyOutdated,
    /// The controller that makes copies.
    CredentialsController,
    /// Namespaces in which pull Secrets cannot be discovered.
    Discovery,
    /// A pattern for Docker Hub that none of its images writes.
    DockerHub,
    /// What stands there twice.
    Duplicate,
    /// The addresses behind the webhook's Service.
    Endpoints,
    /// A namespace that never gets anything.
    ExcludedNamespace,
    /// What the API server does where the webhook does not answer.
    FailurePolicy,
    /// An entry of a Secret without a user or a password.
    IncompleteLogin,
    /// The label of a namespace.
    Label,
    /// Namespaces that opted in before a policy asked who may.
    LabelledBefore,
    /// A login that pullcred fetched, and that has ended.
    LoginExpired,
    /// A login that pullcred fetches.
    LoginFetched,
    /// A login's Secret without a login for a registry of a rule.
    LoginLacksRegistry,
    /// A login's Secret that is not there.
    LoginMissing,
    /// A login's Secret that cannot be used.
    LoginUnreadable,
    /// Entries of a login's Secret that no rule uses.
    LoginUnusedKey,
    /// A login's Secret for more than its rules.
    LoginWider,
    /// The mapping as a whole.
    Mapping,
    /// A mapping that the webhook's Pods do not decide by yet.
    MappingNotInForce,
    /// The webhook configuration's further conditions.
    MatchConditions,
    /// A Secret that is not there.
    MissingSecret,
    /// A Secret of somebody else under the name of a copy.
    NameConflict,
    /// The webhook configuration's selector of namespaces.
    NamespaceSelector,
    /// A Secret without a login for a registry.
    NoLogin,
    /// An image that a rule nearly covers.
    NoRule,
    /// A registry on the node itself.
    NodeItself,
    /// Pods that hang in a namespace without the label.
    NotOptedIn,
    /// What could not be looked at.
    NotSeen,
    /// That no Pod was there to judge.
    NothingChecked,
    /// The webhook configuration's selector of Pods.
    ObjectSelector,
    /// A Secret that the kubelet reads, with something in it that was most likely not meant.
    OddSecret,
    /// The path that the API server posts to.
    Path,
    /// A key that the kubelet offers to more than its path.
    PathPrefix,
    /// Pods that run without a Secret that they would get now.
    PodWithoutSecret,
    /// A policy in place of the webhook.
    Policy,
    /// Whether a webhook configuration exists.
    Registration,
    /// Whether the API server asks again after other webhooks.
    Reinvocation,
    /// Replicas of pullcred that are not ready.
    Replicas,
    /// The reports of what pullcred knows.
    Reports,
    /// The version of reviews.
    ReviewVersions,
    /// Rules for namespaces that did not opt in.
    RuleNowhere,
    /// The requests that the API server asks about.
    Rules,
    /// The type of a Secret, and whether there is anything in it.
    SecretType,
    /// The webhook's Service.
    Service,
    /// A rule that changes nothing.
    Shadowed,
    /// Whether the API server may ask in dry runs.
    SideEffects,
    /// How long the API server waits.
    Timeout,
    /// One pattern with several Secrets.
    TwoSecrets,
    /// A pattern that no Secret opens.
    Unreachable,
    /// A Secret that fails every pull.
    UnreadableSecret,
    /// A Secret that no Pod ever gets.
    UnusedSecret,
    /// A port that images leave out.
    UsualPort,
    /// A `whenMissing` that changes nothing.
    WhenMissing,
}

// === impl Check ===

impl Check {
    /// Every check, in the order of their names.
    pub const ALL: [Self; 58] = [
        Self::AppliedLogin,
        Self::CaBundle,
        Self::Certificate,
        Self::CopyMissing,
        Self::CopyOutdated,
        Self::CredentialsController,
        Self::Discovery,
        Self::DockerHub,
        Self::Duplicate,
        Self::Endpoints,
        Self::ExcludedNamespace,
        Self::FailurePolicy,
        Self::IncompleteLogin,
        Self::Label,
        Self::LabelledBefore,
        Self::LoginExpired,
        Self::LoginFetched,
        Self::LoginLacksRegistry,
        Self::LoginMissing,
        Self::LoginUnreadable,
        Self::LoginUnusedKey,
        Self::LoginWider,
        Self::Mapping,
        Self::MappingNotInForce,
        Self::MatchConditions,
        Self::MissingSecret,
        Self::NameConflict,
        Self::NamespaceSelector,
        Self::NoLogin,
        Self::NoRule,
        Self::NodeItself,
        Self::NotOptedIn,
        Self::NotSeen,
        Self::NothingChecked,
        Self::ObjectSelector,
        Self::OddSecret,
        Self::Path,
        Self::PathPrefix,
        Self::PodWithoutSecret,
        Self::Policy,
        Self::Registration,
        Self::Reinvocation,
        Self::Replicas,
        Self::Reports,
        Self::ReviewVersions,
        Self::RuleNowhere,
        Self::Rules,
        Self::SecretType,
        Self::Service,
        Self::Shadowed,
        Self::SideEffects,
        Self::Timeout,
        Self::TwoSecrets,
        Self::Unreachable,
        Self::UnreadableSecret,
        Self::UnusedSecret,
        Self::UsualPort,
        Self::WhenMissing,
    ];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AppliedLogin => "applied-login",
            Self::CaBundle => "ca-bundle",
            Self::Certificate => "certificate",
            Self::CopyMissing => "copy-missing",
            Self::CopyOutdated => "copy-outdated",
            Self::CredentialsController => "credentials-controller",
            Self::Discovery => "discovery",
            Self::DockerHub => "docker-hub",
            Self::Duplicate => "duplicate",
            Self::Endpoints => "endpoints",
            Self::ExcludedNamespace => "excluded-namespace",
            Self::FailurePolicy => "failure-policy",
            Self::IncompleteLogin => "incomplete-login",
            Self::Label => "label",
            Self::LabelledBefore => "labelled-before",
            Self::LoginExpired => "login-expired",
            Self::LoginFetched => "login-fetched",
            Self::LoginLacksRegistry => "login-lacks-registry",
            Self::LoginMissing => "login-missing",
            Self::LoginUnreadable => "login-unreadable",
            Self::LoginUnusedKey => "login-unused-key",
            Self::LoginWider => "login-wider",
            Self::Mapping => "mapping",
            Self::MappingNotInForce => "mapping-not-in-force",
            Self::MatchConditions => "match-conditions",
            Self::MissingSecret => "missing-secret",
            Self::NameConflict => "name-conflict",
            Self::NamespaceSelector => "namespace-selector",
            Self::NoLogin => "no-login",
            Self::NoRule => "no-rule",
            Self::NodeItself => "node-itself",
            Self::NotOptedIn => "not-opted-in",
            Self::NotSeen => "not-seen",
            Self::NothingChecked => "nothing-checked",
            Self::ObjectSelector => "object-selector",
            Self::OddSecret => "odd-secret",
            Self::Path => "path",
            Self::PathPrefix => "path-prefix",
            Self::PodWithoutSecret => "pod-without-secret",
            Self::Policy => "policy",
            Self::Registration => "registration",
            Self::Reinvocation => "reinvocation",
            Self::Replicas => "replicas",
            Self::Reports => "reports",
            Self::ReviewVersions => "review-versions",
            Self::RuleNowhere => "rule-nowhere",
            Self::Rules => "rules",
            Self::SecretType => "secret-type",
            Self::Service => "service",
            Self::Shadowed => "shadowed",
            Self::SideEffects => "side-effects",
            Self::Timeout => "timeout",
            Self::TwoSecrets => "two-secrets",
            Self::Unreachable => "unreachable",
            Self::UnreadableSecret => "unreadable-secret",
            Self::UnusedSecret => "unused-secret",
            Self::UsualPort => "usual-port",
            Self::WhenMissing => "when-missing",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_the_order_of_their_names() {
        assert!(Check::ALL.map(Check::as_str).is_sorted());
        // Where one is missing, those behind it have another number.
        for (at, check) in Check::ALL.into_iter().enumerate() {
            assert_eq!(check as usize, at, "{check}");
        }
    }
}
