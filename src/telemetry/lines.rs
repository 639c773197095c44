//! Log lines on their way to a sink that may be slow.
//!
//! Lines wait in one buffer, and a thread writes what has gathered there. The first line after a pause is written at once;
//! those that follow are written together, so a line on a busy process costs a copy and a part of one write.
//! `docs/decisions/008-log-lines.md` has the measurements.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;

/// The pause between two writes while lines come fast: the longest that a line waits for others.
const PAUSE: Duration = Duration::from_millis(40);
/// From this many bytes on, lines are written without the pause. A pipe takes twice as many (pipe(7)).
const BATCH: usize = 32 << 10;
/// The most bytes that wait for a sink that is stuck, beside as many in the write that is stuck.
const WAITING_MAX: usize = 1 << 20;

/// A handle to add lines, or to wait until they are written.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the thread that writes.
    ready: Condvar,
    /// Wakes those that wait for [`Queue::done`].
    written: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<u8>,
    /// The bytes that were ever accepted, and how many of them have left: written, or lost to an error of the sink.
    accepted: u64,
    done: u64,
    /// The thread waits for a first line.
    idle: bool,
    /// Somebody waits for the lines.
    urgent: bool,
    closed: bool,
}

// === impl Lines ===

impl Lines {
    /// Starts the thread that writes to `sink`, which it drops when it ends. `dropped` counts lines that the sink did not
    /// take.
    ///
    /// # Errors
    ///
    /// If the operating system refuses a thread.
    pub(super) fn start(sink: impl Write + Send + 'static, dropped: Counter) -> io::Result<Self> {
        let shared = Shared {
            queue: Mutex::default(),
            ready: Condvar::new(),
            written: Condvar::new(),
            dropped,
        };
        let lines = Self(Arc::new(shared));
        let shared = Arc::clone(&lines.0);
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_to(sink))?;
        Ok(lines)
    }

    /// Adds a line, which ends with a line feed. It is dropped and counted if too many bytes wait already.
    pub(super) fn push(&self, line: &[u8]) {
        let Shared { ready, dropped, .. } = &*self.0;
        let mut queue = self.0.queue();
        let before = queue.waiting.len();
        let after = before + line.len();
        if after > WAITING_MAX {
            drop(queue);
            dropped.inc();
            return;
        }
        if after > queue.waiting.capacity() {
            // Twice as much, as a list grows by itself, but never beyond the limit.
            let capacity = (2 * after).min(WAITING_MAX);
            queue.waiting.reserve_exact(capacity - before);
        }
        queue.waiting.extend_from_slice(line);
        queue.accepted += line.len() as u64;
        // Once for each batch: the call costs more than the line.
        let wake = mem::take(&mut queue.idle) || (before < BATCH && after >= BATCH);
        drop(queue);
        if wake {
            ready.notify_one();
        }
    }

    /// Waits until every line that was added so far has left, at most for `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let mut queue = self.0.queue();
        let accepted = queue.accepted;
        if queue.done < accepted {
            queue.urgent = true;
            self.0.ready.notify_one();
        }
        let done = self.0.written.wait_timeout_while(queue, limit, |queue| queue.done < accepted);
        drop(done);
    }

    /// Ends the thread once it has written all lines. Waits for it, at most for `limit`.
    pub(super) fn close(&self, limit: Duration) {
        self.0.queue().closed = true;
        self.0.ready.notify_one();
        self.flush(limit);
    }
}

// === impl Shared ===

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it is locked.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut sink: impl Write) {
        let mut batch = Vec::new();
        let mut pause = Duration::ZERO;
        while self.next(&mut batch, pause) {
            let lost = write(&mut sink, &batch);
            self.dropped.inc_by(lost);
            self.queue().done += batch.len() as u64;
            self.written.notify_all();
            batch.clear();
            // What a stuck sink made grow is given back.
            batch.shrink_to(2 * BATCH);
            pause = PAUSE;
        }
    }

    /// Waits for `pause`, if nothing is urgent, and then for a line. Exchanges the empty `batch` for what waits. False if there
    /// will be no further line.
    fn next(&self, batch: &mut Vec<u8>, pause: Duration) -> bool {
        let begun = Instant::now();
        let mut queue = self.queue();
        while !queue.is_urgent() {
            let left = pause.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            queue = self.ready.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        while queue.waiting.is_empty() {
            if queue.closed {
                return false;
            }
            queue.idle = true;
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.idle = false;
        queue.urgent = false;
        mem::swap(&mut queue.waiting, batch);
        true
    }
}

// === impl Queue ===

impl Queue {
    fn is_urgent(&self) -> bool {
        self.waiting.len() >= BATCH || self.urgent || self.closed
    }
}

/// Writes all of `lines`. Returns how many of them the sink did not take.
fn write(sink: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match sink.write(lines) {
            Ok(0) => break,
            Ok(written) => lines = &lines[written..],
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                // Another program that has the same terminal or pipe made it so.
                io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
                _ => break,
            },
        }
    }
    lines.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Hands on each write, with its time. With a gate it waits before each for a permit from there.
    struct Slow {
        writes: Sender<(Instant, Vec<u8>)>,
        gate: Option<Receiver<()>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(gate) = &self.gate {
                // A gate that is gone is open.
                let _ = gate.recv();
            }
            self.writes.send((Instant::now(), bytes.to_vec())).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(gate: Option<Receiver<()>>) -> (Lines, Counter, Receiver<(Instant, Vec<u8>)>) {
        let (writes, written) = channel();
        let dropped = Counter::default();
        let lines = Lines::start(Slow { writes, gate }, dropped.clone()).unwrap();
        (lines, dropped, written)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_burst_from_many_threads_is_few_writes_of_whole_lines() {
        const THREADS: usize = 4;
        const EACH: usize = 5_000;
        let (lines, dropped, written) = lines(None);
        let begun = Instant::now();
        thread::scope(|scope| {
            for name in 0..THREADS {
                let lines = lines.clone();
                scope.spawn(move || {
                    for number in 0..EACH {
                        lines.push(format!("{name} {number} {}\n", "x".repeat(100)).as_bytes());
                        if number % 500 == 0 {
                            lines.flush(LONG);
                        }
                    }
                });
            }
        });
        lines.close(LONG);
        let pauses = usize::try_from(begun.elapsed().as_nanos() / PAUSE.as_nanos()).unwrap();
        drop(lines);
        let writes: Vec<Vec<u8>> = written.iter().map(|(_, bytes)| bytes).collect();
        let mut next = [0; THREADS];
        for line in writes.iter().flat_map(|bytes| bytes.split_inclusive(|&byte| byte == b'\n')) {
            let line = std::str::from_utf8(line).unwrap();
            let (name, rest) = line.split_once(' ').unwrap();
            let next = &mut next[name.parse::<usize>().unwrap()];
            assert_eq!(rest, format!("{next} {}\n", "x".repeat(100)));
            *next += 1;
        }
        assert_eq!((next, dropped.get()), ([EACH; THREADS], 0));
        let bytes: usize = writes.iter().map(Vec::len).sum();
        let flushes = THREADS * EACH / 500;
        let most = bytes / BATCH + flushes + 2;
        assert!(writes.len() <= most + pauses, "{} of {most}", writes.len());
    }

    #[test]
    fn a_line_after_a_pause_is_written_at_once_and_others_within_fifty_milliseconds() {
        // Another program may keep this one from running, but not each time.
        let attempts = (0..20).map(|_| {
            let (lines, _, written) = lines(None);
            let mut pushed = Vec::new();
            for _ in 0..200 {
                pushed.push(Instant::now());
                lines.push(b"x\n");
                thread::sleep(Duration::from_millis(1));
            }
            lines.close(LONG);
            drop(lines);
            let writes: Vec<_> = written.iter().collect();
            let at = writes.iter().flat_map(|(at, bytes)| vec![*at; bytes.len() / 2]);
            let late: Vec<Duration> = at.zip(&pushed).map(|(at, begun)| at - *begun).collect();
            assert_eq!(late.len(), pushed.len());
            assert!(writes.len() < pushed.len() / 4, "{} writes", writes.len());
            (late[0], late.into_iter().max().unwrap())
        });
        let mut attempts = attempts.inspect(|times| println!("first and latest: {times:?}"));
        let most = (Duration::from_millis(10), Duration::from_millis(50));
        assert!(attempts.any(|(first, latest)| first <= most.0 && latest <= most.1));
    }

    #[test]
    fn a_stuck_sink_holds_a_bounded_number_of_bytes_and_further_lines_are_counted() {
        let (permits, gate) = channel();
        let (lines, dropped, written) = lines(Some(gate));
        lines.push(b"first\n");
        let line = [[b'x'; 999].as_slice(), b"\n"].concat();
        let pushed = 4 * WAITING_MAX / line.len();
        for _ in 0..pushed {
            lines.push(&line);
            let waiting = &lines.0.queue().waiting;
            assert!(waiting.len() <= WAITING_MAX && waiting.capacity() <= WAITING_MAX);
        }
        let begun = Instant::now();
        lines.flush(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20), "nothing could be written");
        assert!(dropped.get() > pushed as u64 / 2, "{}", dropped.get());
        drop(permits);
        lines.close(LONG);
        drop(lines);
        let bytes: Vec<u8> = written.iter().flat_map(|(_, bytes)| bytes).collect();
        let kept = (bytes.len() - b"first\n".len()) / line.len();
        assert_eq!(kept as u64 + dropped.get(), pushed as u64);
        assert!(kept >= WAITING_MAX / line.len(), "{kept}");
    }

    #[test]
    fn the_end_waits_for_a_stuck_sink_only_for_its_limit() {
        let (_permits, gate) = channel();
        let (lines, ..) = lines(Some(gate));
        lines.push(b"x\n");
        let begun = Instant::now();
        lines.close(Duration::from_millis(20));
        assert!((Duration::from_millis(20)..LONG).contains(&begun.elapsed()));
    }

    /// Takes three bytes at a time, with errors of these kinds in between.
    struct Failing(Vec<io::ErrorKind>, Vec<u8>);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.0.pop() {
                return Err(kind.into());
            }
            let taken = &bytes[..bytes.len().min(3)];
            self.1.extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_sink_refuses_for_now_is_written_again_and_what_it_loses_is_counted() {
        let passing = vec![io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock];
        let mut sink = Failing(passing, Vec::new());
        assert_eq!(write(&mut sink, b"one\ntwo\n"), 0);
        assert_eq!(sink.1, b"one\ntwo\n");
        let mut sink = Failing(vec![io::ErrorKind::BrokenPipe], Vec::new());
        assert_eq!(write(&mut sink, b"one\ntwo\n"), 2);
    }
}
