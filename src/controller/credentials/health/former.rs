//! What reports say of checks from before `--health` was turned off: no verdict stays that no check renews.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::{debug, info};

use super::{board::Board, record::Records, schedule::without_verdict};
use crate::{cluster::Cluster, errors::with_causes, fetch::World};

/// When a record is written again that could not be.
const AGAIN: Duration = Duration::from_secs(30);

/// Takes the verdicts of former checks out of reports, as the field manager that wrote them.
pub(in super::super) struct Former {
    records: Records,
    world: Arc<dyn World>,
    board: Arc<Board>,
}

// === impl Former ===

impl Former {
    pub(in super::super) fn new(
        cluster: Cluster,
        world: Arc<dyn World>,
        board: Arc<Board>,
    ) -> Self {
        Self { records: Records::new(cluster), world, board }
    }

    /// Goes on for as long as the process lives: a process that still checks may write another verdict.
    pub(in super::super) async fn run(self) {
        let mut verdicts: BTreeSet<Arc<str>> = BTreeSet::new();
        loop {
            tokio::select! {
                said = self.board.take() => {
                    let now = self.world.now();
                    for (login, record) in said.records {
                        if record.is_some_and(|it| without_verdict(&it, now).as_ref() != Some(&it)) {
                            verdicts.insert(login);
                        }
                    }
                }
                () = sleep(AGAIN), if !verdicts.is_empty() => {}
            }
            for login in std::mem::take(&mut verdicts) {
                let now = self.world.now();
                match self.records.reduce(&login, |record| without_verdict(record, now)).await {
                    Ok(true) => info!(
                        login = &*login,
                        "logins are not checked: the report no longer says what a check found"
                    ),
                    Ok(false) => {}
                    Err(error) => {
                        let error = with_causes(&error);
                        debug!(login = &*login, error, "a former verdict could not be removed");
                        verdicts.insert(login);
                    }
                }
            }
        }
    }
}
