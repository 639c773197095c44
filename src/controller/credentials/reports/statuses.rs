//! What the reports say, made of what is known. Pure, and bounded: no report reaches 64 KiB, whatever the mapping or the
//! Secrets hold.
//!
//! Conditions have no time here: the writer knows since when each has been as it is.

mod expiry;
mod fetched;
mod found;
mod health;

use std::sync::Arc;

use super::super::state::{
    CopyState, Expiry, Failing, Fault, Fetch, LoginOverview, LoginProblem, Progress, Refusal,
};
use super::{
    super::{discovery::Discovered, health::Health, mint::report::State as FetchedLogin},
    keys::Contents,
};
use crate::core::{
    reports::{
        Condition, Discovery, FailingNamespace, LOGIN_REFUSED, LoginStatus, NamespaceSummary,
        PullSecretStatus, QUOTA_EXCEEDED, ReportedSecret, ReportedState,
    },
    rules::SecretName,
};

/// The most that the list of Secrets takes in a report, in bytes of JSON: the webhook holds as much of a namespace.
const SECRETS_MAX: usize = 16 << 10;
/// The most Secrets in it, and the most registry keys of all of them, likewise.
const COUNTS_MAX: (usize, usize) = (256, 512);
/// The most that the list of registries takes, likewise.
const REGISTRIES_MAX: usize = 16 << 10;
/// The longest message of a condition, in characters.
const MESSAGE_MAX: usize = 512;
/// How many Secrets the message of a namespace's condition names.
const NAMED: usize = 3;

/// What is known of a login.
#[derive(Debug)]
pub(in super::super) struct LoginFacts<'f> {
    /// What the login is, by the mapping's key.
    pub(in super::super) kind: &'static str,
    /// The fingerprint of the mapping in force.
    pub(in super::super) mapping: &'f str,
    /// pullcred's namespace, and the Secret there that has the login.
    pub(in super::super) secret: Option<(&'f str, &'f SecretName)>,
    /// Why it fills nothing, or not all registries.
    pub(in super::super) problem: Option<&'f LoginProblem>,
    /// Whether the API server does not let pullcred read it.
    pub(in super::super) unread: bool,
    /// How many copies wait for a person to delete them.
    pub(in super::super) held: usize,
    /// What is known of it where pullcred fetches it for all namespaces.
    pub(in super::super) fetched: Option<FetchedLogin>,
    /// What the registries say of it, where they are asked.
    pub(in super::super) health: Option<Health>,
    /// When it ends, and how far it is; `None` where nothing is known of that.
    pub(in super::super) expiry: Option<Expiry>,
    /// The registries of its rules.
    pub(in super::super) registries: Vec<String>,
    /// How far its copies are.
    pub(in super::super) overview: &'f LoginOverview,
}

/// What is known of a namespace.
#[derive(Debug, Default)]
pub(in super::super) struct NamespaceFacts<'f> {
    /// The copies that it is to have.
    pub(in super::super) copies: Vec<CopyFacts<'f>>,
    /// What was found there; `None` where the mapping does not ask for that.
    pub(in super::super) discovery: Option<&'f Discovered>,
    /// The names of Secrets that rules without a login, or `always`, have for it.
    pub(in super::super) named: Vec<Arc<str>>,
}

/// What is known of a copy.
#[derive(Debug)]
pub(in super::super) struct CopyFacts<'f> {
    /// How far it is.
    pub(in super::super) state: CopyState<'f>,
    /// What a foreign Secret in its place holds, as far as it has been read.
    pub(in super::super) foreign: Option<Contents>,
}

// === logins ===

/// What the report of a login says.
pub(in super::super) fn login_status(facts: LoginFacts<'_>) -> LoginStatus {
    let LoginOverview { wanted, ready, outdated, conflict, refused, failing, .. } = facts.overview;
    let mut conditions = vec![login_ready(&facts), progressing(&facts), expiry::healthy(&facts)];
    conditions.extend(expiry::expiring(&facts));
    let failing = failing.iter().map(|(namespace, failing)| FailingNamespace {
        namespace: namespace.to_string(),
        reason: failing.as_str().to_owned(),
    });
    let mut room = REGISTRIES_MAX;
    let registries = facts.registries.into_iter().take_while(|it| fits(&mut room, it));
    LoginStatus {
        observed_mapping: facts.mapping.to_owned(),
        kind: facts.kind.to_owned(),
        conditions,
        namespaces: NamespaceSummary {
            copied: format!("{}/{wanted}", ready + outdated),
            wanted: *wanted,
            ready: ready + outdated,
            conflict: *conflict,
            refused: *refused,
        },
        failing: failing.collect(),
        registries: registries.collect(),
        expires_at: facts.expiry.as_ref().and_then(expiry::until),
        health: None,
    }
}

fn login_ready(facts: &LoginFacts<'_>) -> Condition {
    let LoginOverview { wanted, conflict, refused, pending, failing, .. } = facts.overview;
    let LoginOverview { unfetched, expired, .. } = facts.overview;
    if facts.unread {
        let message =
            "pullcred may not read the login, or the API server does not answer".to_owned();
        return condition("Ready", "False", Fault::Unreadable.as_str(), &message);
    }
    if let Some(why) = facts.fetched.as_ref().and_then(fetched::fault) {
        return why;
    }
    if let Some(problem) = facts.problem {
        let message = format!("{problem}; copies that are there stay as they are");
        return condition("Ready", "False", Fault::of(problem).as_str(), &message);
    }
    let held = health::held(facts.health.as_ref(), facts.problem);
    if let Some(why) = held.or_else(|| expiry::fault(facts)) {
        return why;
    }
    if *conflict > 0 {
        let message = format!(
            "in {} a Secret of somebody else has the name of the copy, and is left alone",
            namespaces(*conflict)
        );
        return condition("Ready", "False", Failing::NameConflict.as_str(), &message);
    }
    if let Some(why) = fetched::own_fault(*unfetched, *expired) {
        return why;
    }
    if *refused > 0 {
        let first = failing.iter().find_map(|(_, it)| match it {
            Failing::Refused(refusal) => Some(*refusal),
            _ => None,
        });
        let refusal = first.unwrap_or(Refusal::WriteFailed);
        let message = format!("in {} {}", namespaces(*refused), words(refusal));
        return condition("Ready", "False", Failing::Refused(refusal).as_str(), &message);
    }
    if *pending > 0 {
        let message = format!("{} wait for their copy", namespaces(*pending));
        return condition("Ready", "False", "RollingOut", &message);
    }
    if *wanted == 0 {
        let message = "no opted-in namespace is to have a copy".to_owned();
        return condition("Ready", "True", "NothingToCopy", &message);
    }
    condition("Ready", "True", "Copied", &format!("{wanted} of {wanted} copies are there"))
}

fn progressing(facts: &LoginFacts<'_>) -> Condition {
    let LoginOverview { pending, outdated, .. } = facts.overview;
    let writes = pending + outdated;
    if writes > 0 {
        let message = format!("{writes} copies are to be written");
        return condition("Progressing", "True", "RollingOut", &message);
    }
    if facts.held > 0 {
        let message = format!(
            "{} copies of this or another login are no longer wanted, more than a fifth of all: they stay until a person lets them go",
            facts.held
        );
        return condition("Progressing", "False", "DeletionHeld", &message);
    }
    condition("Progressing", "False", "Copied", "no copy is to be written")
}

fn namespaces(count: u32) -> String {
    if count == 1 { "1 namespace".to_owned() } else { format!("{count} namespaces") }
}

fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::QuotaExceeded => "a quota leaves no room for the copy",
        Refusal::Denied => "the API server does not let pullcred write the copy",
        Refusal::WriteFailed => "writing the copy fails",
    }
}

// === namespaces ===

/// What the report of a namespace says.
pub(in super::super) fn namespace_status(facts: &NamespaceFacts<'_>) -> PullSecretStatus {
    let mut secrets: Vec<ReportedSecret> = facts.copies.iter().map(of_copy).collect();
    let found = facts.discovery.and_then(Discovered::permitted);
    if let Some(found) = found {
        found::add(&mut secrets, found, &facts.named);
    }
    let mut status = PullSecretStatus {
        conditions: vec![namespace_ready(&secrets, facts.discovery)],
        discovery: facts.discovery.map(|it| match it {
            Discovered::NotPermitted => Discovery::NotPermitted,
            Discovered::Permitted(_) => Discovery::Permitted,
        }),
        ..PullSecretStatus::default()
    };
    let (mut room, summary) = (SECRETS_MAX, &mut status.summary);
    let mut keys_left = COUNTS_MAX.1;
    for mut secret in secrets {
        summary.secrets += 1;
        match secret.state {
            ReportedState::Ready => {}
            ReportedState::Missing | ReportedState::Pending => summary.missing += 1,
            _ => summary.unhealthy += 1,
        }
        // Without its keys a Secret is rather unknown to the webhook than wrong.
        let keys = secret.keys.as_ref().map_or(0, Vec::len);
        let whole = keys <= keys_left && fits(&mut room, &secret);
        keys_left -= if whole { keys } else { 0 };
        secret.keys = secret.keys.filter(|_| whole);
        if status.secrets.len() < COUNTS_MAX.0 && (whole || fits(&mut room, &secret)) {
            status.secrets.push(secret);
        }
    }
    status
}

fn of_copy(copy: &CopyFacts<'_>) -> ReportedSecret {
    let reason = copy.state.failing().map(|it| it.as_str().to_owned());
    let (state, keys) = match (copy.state.progress, &copy.foreign) {
        _ if copy.state.failing() == Some(Failing::Expired) => (ReportedState::Expired, None),
        _ if copy.state.failing() == Some(Failing::LoginRefused) => (ReportedState::Refused, None),
        _ if copy.state.failing() == Some(Failing::Unfetched) => (ReportedState::Missing, None),
        (Progress::Ready | Progress::Outdated | Progress::Kept, _) => (ReportedState::Ready, None),
        (Progress::Pending, _) => (ReportedState::Pending, None),
        (Progress::Missing(_), _) => (ReportedState::Missing, None),
        (Progress::Conflict, None | Some(Contents::Unknown)) => (ReportedState::Conflict, None),
        (Progress::Conflict, Some(Contents::Keys(keys))) => {
            (ReportedState::Conflict, Some(found::texts(keys)))
        }
        (Progress::Conflict, Some(Contents::Unreadable)) => (ReportedState::Unreadable, None),
        (Progress::Conflict, Some(Contents::WrongType)) => (ReportedState::WrongType, None),
    };
    let says_it =
        matches!(state, ReportedState::Ready | ReportedState::Expired | ReportedState::Refused);
    let reason = reason.filter(|_| !says_it);
    let expired_at = match copy.state.fetch {
        Fetch::Expired(at) if state == ReportedState::Expired => expiry::moment(at),
        _ => None,
    };
    ReportedSecret { name: copy.state.secret.to_string(), state, reason, expired_at, keys }
}

fn namespace_ready(secrets: &[ReportedSecret], discovery: Option<&Discovered>) -> Condition {
    let worst = secrets.iter().filter(|it| it.state != ReportedState::Ready);
    let worst = worst.min_by_key(|it| urgency(it.state));
    let Some(worst) = worst else {
        let more = discovery.and_then(Discovered::permitted).is_some_and(|it| it.more);
        return match (secrets.len(), discovery) {
            (0, Some(Discovered::NotPermitted)) => {
                let message = "pullcred may not look for pull Secrets here: a RoleBinding to its ClusterRole for discovery permits it";
                condition("Ready", "Unknown", "NotPermitted", message)
            }
            (0, Some(Discovered::Permitted(_))) => {
                let message = "no rule fills a Secret here, and there is no pull Secret";
                condition("Ready", "True", "NothingToCopy", message)
            }
            (0, None) => condition("Ready", "True", "NothingToCopy", "no rule fills a Secret here"),
            (all, _) if more => {
                let message = format!(
                    "{all} Secrets are ready; of those here, only the first by name are used"
                );
                condition("Ready", "True", "AllReady", &message)
            }
            (1, _) => condition("Ready", "True", "AllReady", "1 Secret is ready"),
            (all, _) => condition("Ready", "True", "AllReady", &format!("{all} Secrets are ready")),
        };
    };
    let mut bad: Vec<_> = secrets.iter().filter(|it| it.state != ReportedState::Ready).collect();
    bad.sort_by_key(|it| urgency(it.state));
    let named = bad.iter().take(NAMED).map(|it| match &it.expired_at {
        Some(at) => format!("{} holds a login that ended at {at}", it.name),
        None => format!("{} {}", it.name, fault(it)),
    });
    let more = bad.len().checked_sub(NAMED).filter(|more| *more > 0);
    let more = more.map(|more| format!("and {more} more"));
    let message = named.chain(more).collect::<Vec<_>>().join("; ");
    condition("Ready", "False", reason(worst), &message)
}

/// How much a state harms: the worst first. An unreadable Secret fails every pull of a Pod.
fn urgency(state: ReportedState) -> u8 {
    match state {
        ReportedState::Unreadable => 0,
        ReportedState::Conflict => 1,
        ReportedState::WrongType => 2,
        ReportedState::Refused => 3,
        ReportedState::Expired => 4,
        ReportedState::Missing => 5,
        ReportedState::Pending => 6,
        ReportedState::Ready | ReportedState::Unknown => 7,
    }
}

fn reason(secret: &ReportedSecret) -> &str {
    let own = match secret.state {
        ReportedState::Unreadable => "SecretUnreadable",
        ReportedState::WrongType => "WrongType",
        ReportedState::Missing => "SecretMissing",
        ReportedState::Pending => "Copying",
        ReportedState::Conflict => "NameConflict",
        ReportedState::Refused => "Refused",
        ReportedState::Expired => "Expired",
        ReportedState::Ready | ReportedState::Unknown => "Unknown",
    };
    match secret.state {
        ReportedState::Missing | ReportedState::Pending => secret.reason.as_deref().unwrap_or(own),
        _ => own,
    }
}

/// What is wrong with a Secret, as a sentence that starts with its name continues.
fn fault(secret: &ReportedSecret) -> &'static str {
    match (secret.state, secret.reason.as_deref()) {
        (ReportedState::Unreadable, _) => {
            "cannot be read by a kubelet, and fails every pull of a Pod that lists it"
        }
        (ReportedState::Conflict, _) => "is somebody else's, and pullcred leaves it alone",
        (ReportedState::WrongType, _) => "is of a type that kubelets pass over",
        (ReportedState::Refused, _) => "holds a login that the registry refuses",
        (ReportedState::Expired, _) => "holds a login that has expired",
        (ReportedState::Missing, Some("LoginMissing")) => {
            "cannot be made: its login does not exist, ask those who run pullcred"
        }
        (ReportedState::Missing, Some("LoginUnreadable")) => {
            "cannot be made: its login cannot be read, ask those who run pullcred"
        }
        (ReportedState::Missing, Some("NoLoginForRegistry")) => {
            "cannot be made: its login has nothing for the registry, ask those who run pullcred"
        }
        (ReportedState::Missing, Some(LOGIN_REFUSED)) => {
            "cannot be made: the registry refuses its login, ask those who run pullcred"
        }
        (ReportedState::Missing, Some("LoginRefreshFailed")) => {
            "cannot be made: its login cannot be fetched"
        }
        (ReportedState::Missing, _) => "does not exist, and no login fills it: make it",
        (ReportedState::Pending, Some(QUOTA_EXCEEDED)) => {
            "cannot be made: a quota of this namespace leaves no room for it"
        }
        (ReportedState::Pending, Some(_)) => "cannot be made: the API server refuses it",
        (ReportedState::Pending, None) => "is being copied",
        (ReportedState::Ready | ReportedState::Unknown, _) => "is not known",
    }
}

// === both ===

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(MESSAGE_MAX).collect(),
        last_transition_time: String::new(),
    }
}

/// Takes the room of an entry in a list; answers whether there was as much.
fn fits(room: &mut usize, entry: &impl serde::Serialize) -> bool {
    let bytes = serde_json::to_vec(entry).map_or(usize::MAX, |it| it.len() + 1);
    let left = room.checked_sub(bytes);
    *room = left.unwrap_or(*room);
    left.is_some()
}

#[cfg(test)]
mod tests;
