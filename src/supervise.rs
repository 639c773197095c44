//! Tasks and threads that must not end: a process without one of them looks well and is not.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Hears of the tasks that end.
#[derive(Debug)]
pub struct Supervisor {
    sender: UnboundedSender<TaskEnded>,
    ended: UnboundedReceiver<TaskEnded>,
}

/// What a task owns for as long as it runs: its end is reported when this is dropped, also by a panic.
#[derive(Debug)]
pub struct Guard {
    task: &'static str,
    sender: UnboundedSender<TaskEnded>,
}

/// A task or thread ended that runs for as long as the process should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a background task ended: {0}: this is a bug")]
pub struct TaskEnded(&'static str);

// === impl Supervisor ===

impl Supervisor {
    /// A guard for the task of this name.
    #[must_use]
    pub fn guard(&self, task: &'static str) -> Guard {
        Guard { task, sender: self.sender.clone() }
    }

    /// Waits until a task with a guard has ended.
    pub async fn task_ended(&mut self) -> TaskEnded {
        // It has a sender itself, so the channel is never closed.
        self.ended.recv().await.unwrap_or(TaskEnded("supervisor"))
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        let (sender, ended) = unbounded_channel();
        Self { sender, ended }
    }
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        // Where the receiver is gone, the process is ending.
        let _ = self.sender.send(TaskEnded(self.task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_thread_or_task_is_reported_also_by_a_panic() {
        let mut supervisor = Supervisor::default();
        let guard = supervisor.guard("thread");
        let thread = std::thread::spawn(move || {
            let _guard = guard;
            panic!("as the test wants it");
        });
        assert_eq!(supervisor.task_ended().await, TaskEnded("thread"));
        assert!(thread.join().is_err());
        let guard = supervisor.guard("task");
        tokio::spawn(async move { drop(guard) });
        assert_eq!(supervisor.task_ended().await, TaskEnded("task"));
    }
}
