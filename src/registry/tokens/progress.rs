//! How far a fetch has come, for those who watch it.

use std::fmt;

use k8s_openapi::jiff::Timestamp;

use super::problem::Step;

/// What a step brought. Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// Who was asked.
    pub host: Box<str>,
    /// What came of it.
    pub news: News,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It was answered with this status, and the answer could be read.
    Answered(u16),
    /// What it gave ends at this moment, by the service's clock: seconds since the Unix epoch.
    Ends(i64),
}

/// Who hears of it.
pub type Listener<'a> = &'a (dyn Fn(Progress) + Sync);

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, host, news } = self;
        match news {
            News::Answered(status) => write!(f, "{step}: {host} answers {status}"),
            News::Ends(at) => match Timestamp::from_second(*at) {
                Ok(at) => write!(f, "{step}: what {host} gave ends at {at}"),
                Err(_) => {
                    write!(f, "{step}: what {host} gave ends at a moment that no calendar has")
                }
            },
        }
    }
}
