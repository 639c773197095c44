//! What reports say of logins that pullcred fetches.

use super::{FetchedLogin, condition, namespaces};
use crate::{controller::credentials::state::Failing, core::reports::Condition};

/// Why a login that is fetched for all namespaces is not as it should be.
pub(super) fn fault(fetched: &FetchedLogin) -> Option<Condition> {
    let why = fetched.problem.as_deref();
    if fetched.has_expired() {
        let why = why.unwrap_or("no attempt to renew it has ended yet");
        let message = format!("the login has expired, and its copies stay: {why}");
        return Some(condition("Ready", "False", Failing::Expired.as_str(), &message));
    }
    let message = format!("the login cannot be fetched, and what is stored stays: {}", why?);
    Some(condition("Ready", "False", Failing::Unfetched.as_str(), &message))
}

/// Why a login that namespaces fetch for themselves is not as it should be in all of them.
pub(super) fn own_fault(unfetched: u32, expired: u32) -> Option<Condition> {
    if expired > 0 {
        let message = format!("in {} the login of its own has expired", namespaces(expired));
        return Some(condition("Ready", "False", Failing::Expired.as_str(), &message));
    }
    if unfetched > 0 {
        let message =
            format!("in {} the login of its own cannot be fetched", namespaces(unfetched));
        return Some(condition("Ready", "False", Failing::Unfetched.as_str(), &message));
    }
    None
}
