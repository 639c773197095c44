//! What is to be done about one Secret name in one namespace. Pure.

use super::seen::{Fingerprint, Ours, Seen};

/// What is wanted under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// No copy.
    Nothing,
    /// A copy with this content.
    Content(Fingerprint),
    /// A copy, but its login is missing or unusable: what is there stays.
    Unavailable,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// All is as it should be, and a copy is there.
    Ready,
    /// There is nothing, and nothing is wanted.
    Nothing,
    /// Make the copy.
    Create,
    /// Write the copy's content and marks again.
    Update(Ours),
    /// Delete a copy that is no longer wanted, once the grace is over.
    Collect(Ours),
    /// A Secret of somebody's is in the way: leave it alone, and say so.
    Conflict,
    /// The login cannot be had: leave what is there, and say so. `copy` says whether a copy is there.
    Wait {
        /// Whether a copy of earlier content is there.
        copy: bool,
    },
}

/// Plans for one Secret name in a namespace that is not being deleted.
#[must_use]
pub fn plan(wanted: Wanted, seen: Option<&Seen>) -> Step {
    match (wanted, seen) {
        (Wanted::Nothing, None | Some(Seen::Foreign)) => Step::Nothing,
        (Wanted::Nothing, Some(Seen::Ours(ours))) => Step::Collect(ours.clone()),
        (Wanted::Unavailable, Some(Seen::Ours(_))) => Step::Wait { copy: true },
        (Wanted::Unavailable, None) => Step::Wait { copy: false },
        (Wanted::Content(_), None) => Step::Create,
        (Wanted::Content(_) | Wanted::Unavailable, Some(Seen::Foreign)) => Step::Conflict,
        (Wanted::Content(content), Some(Seen::Ours(ours))) => {
            let same = ours.content == Some(content);
            if same && ours.intact { Step::Ready } else { Step::Update(ours.clone()) }
        }
    }
}
