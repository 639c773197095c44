//! When scenarios play: each setting plays its own, in the order of their list, while the other settings play theirs.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// So many play at once in a setting. They wait more than they compute, so there are more than processors.
const AT_ONCE: u32 = 6;

/// Whether a scenario can play while others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// It needs the setting to itself.
    Alone,
    /// It leaves everything that others use as it was.
    WithOthers,
}

/// The right to play now in a setting.
pub(crate) type Turn = OwnedSemaphorePermit;

/// Where a scenario gets its turn.
pub(crate) type Ticket = oneshot::Receiver<Turn>;

/// The scenarios of a setting, in the order in which they get their turns.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Vec<(Company, oneshot::Sender<Turn>)>,
}

// === impl Queue ===

impl Queue {
    /// Adds a scenario.
    pub(crate) fn join(&mut self, company: Company) -> Ticket {
        let (turn, ticket) = oneshot::channel();
        self.waiting.push((company, turn));
        ticket
    }

    /// Gives each its turn, one that plays alone when all before it are over. One that was filtered out has thrown away its
    /// ticket, and its turn is over at once.
    pub(crate) async fn serve(self) {
        let room = Arc::new(Semaphore::new(AT_ONCE as usize));
        for (company, scenario) in self.waiting {
            let room_for = match company {
                Company::Alone => AT_ONCE,
                Company::WithOthers => 1,
            };
            if let Ok(turn) = Arc::clone(&room).acquire_many_owned(room_for).await {
                drop(scenario.send(turn));
            }
        }
    }
}
