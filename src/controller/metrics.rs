//! What both controllers count: the results of writes.

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The object had changed since it was read, or belongs to somebody else.
    Conflict,
    /// The API server refused it, or could not be reached.
    Failure,
    /// The API server accepted it.
    Success,
}

// === impl Written ===

impl Written {
    /// All results.
    pub const ALL: [Self; 3] = [Self::Conflict, Self::Failure, Self::Success];

    /// The name in labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Failure => "failure",
            Self::Success => "success",
        }
    }
}
