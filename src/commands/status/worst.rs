//! The worst of many, with a bound on how many are kept.

use std::cmp::Ordering;

use serde::Serialize;

/// How bad something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    #[default]
    Ok,
    /// Good to know; it passes, or may be meant so.
    Note,
    /// It needs attention.
    Warning,
    /// Pulls fail by it, or are about to.
    Error,
}

/// What can be worse than another of its kind.
pub(super) trait Ranked {
    fn level(&self) -> Level;
    /// The worse one is less. Of two that are equally bad the order is always the same.
    fn order(&self, other: &Self) -> Ordering;
}

/// How many there are, and the worst of them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Worst<T> {
    pub(super) total: u32,
    pub(super) errors: u32,
    pub(super) warnings: u32,
    /// The worst comes first.
    pub(super) shown: Vec<T>,
    /// How many others might be shown.
    pub(super) more: u32,
    #[serde(skip)]
    most: usize,
}

// === impl Level ===

impl Level {
    /// Whether somebody should do something.
    pub(super) fn is_finding(self) -> bool {
        self >= Self::Warning
    }
}

// === impl Worst ===

impl<T: Ranked> Worst<T> {
    /// None yet, and at most so many to show.
    pub(super) fn of(most: usize) -> Self {
        Self { total: 0, errors: 0, warnings: 0, shown: Vec::new(), more: 0, most }
    }

    /// Counts one. It is kept only if it is among the worst.
    pub(super) fn add(&mut self, it: T) {
        self.count(it.level());
        self.shown.push(it);
        if self.shown.len() >= 2 * self.most {
            self.sort();
        }
    }

    /// Counts one of which no more than that is shown.
    pub(super) fn count(&mut self, level: Level) {
        self.total += 1;
        self.errors += u32::from(level == Level::Error);
        self.warnings += u32::from(level == Level::Warning);
    }

    /// The worst first, and no more than are to be shown.
    pub(super) fn sort(&mut self) {
        self.shown.sort_by(T::order);
        self.more += counted(self.shown.len().saturating_sub(self.most));
        self.shown.truncate(self.most);
    }

    /// How many need attention.
    pub(super) fn findings(&self) -> u32 {
        self.errors + self.warnings
    }

    /// The level of the worst that was counted.
    pub(super) fn level(&self) -> Level {
        match (self.errors, self.warnings) {
            (0, 0) => Level::Ok,
            (0, _) => Level::Warning,
            _ => Level::Error,
        }
    }
}

/// A length as a count.
pub(super) fn counted(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Finding(Level, u32);

    impl Ranked for Finding {
        fn level(&self) -> Level {
            self.0
        }

        fn order(&self, other: &Self) -> Ordering {
            other.0.cmp(&self.0).then(self.1.cmp(&other.1))
        }
    }

    #[test]
    fn many_are_counted_and_few_are_kept() {
        let mut worst = Worst::of(3);
        for number in 0..10_000 {
            let level = if number % 1000 == 999 { Level::Error } else { Level::Warning };
            worst.add(Finding(level, number));
            assert!(worst.shown.len() < 6);
        }
        worst.count(Level::Ok);
        worst.sort();
        assert_eq!((worst.total, worst.errors, worst.warnings), (10_001, 10, 9_990));
        assert_eq!(worst.shown.iter().map(|it| it.1).collect::<Vec<_>>(), [999, 1999, 2999]);
        assert_eq!((worst.more, worst.level(), worst.findings()), (9_997, Level::Error, 10_000));
    }
}
