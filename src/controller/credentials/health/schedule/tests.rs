use super::*;

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

fn said(verdict: HealthVerdict) -> Said {
    Said { verdict, retry_after: None }
}

fn tried(content: &str) -> Tried<'_> {
    Tried { content, accepted: false, image: None }
}

/// The moments at which one content is tried for so long, where `answer` says what comes of each.
fn tries(
    mut record: Option<LoginHealth>,
    content: &str,
    hours: i64,
    draw: f64,
    answer: impl Fn(usize) -> HealthVerdict,
) -> (Vec<i64>, Option<LoginHealth>) {
    let mut times: Vec<i64> = Vec::new();
    let mut now = NOW;
    while now < NOW + hours * HOUR {
        now = now.max(due(record.as_ref(), content, now));
        let said = said(answer(times.len()));
        times.push(now);
        record = Some(ended(record.as_ref(), &tried(content), &said, now, draw));
    }
    times.pop();
    (times, record)
}

#[test]
fn a_refused_login_is_tried_four_times_in_an_hour_and_four_times_a_day_after() {
    for draw in [0.0, 0.3, 1.0] {
        let (times, record) = tries(None, "a", 72, draw, |_| HealthVerdict::Refused);
        let within =
            |from: i64, to: i64| times.iter().filter(|it| (from..to).contains(*it)).count();
        assert_eq!(within(NOW, NOW + HOUR), 4, "{times:?}");
        for start in times.iter().skip(4) {
            assert!(within(*start, start + 24 * HOUR) <= 4, "{times:?}");
        }
        assert!(times[1] - times[0] >= 60);
        let record = record.unwrap();
        assert!(record.held && record.verdict == Some(HealthVerdict::Refused));
    }
}

#[test]
fn a_login_that_is_taken_is_tried_every_half_hour_or_so() {
    let (low, _) = tries(None, "a", 24, 0.0, |_| HealthVerdict::Accepted);
    let (high, record) = tries(None, "a", 24, 1.0, |_| HealthVerdict::Accepted);
    assert_eq!((low[1] - low[0], high[1] - high[0]), (24 * 60, 36 * 60));
    assert_eq!(trial(record.as_ref(), "a", false), Trial::Passed);
    assert_eq!(trial(record.as_ref(), "b", false), Trial::Waiting);
    assert_eq!(due(record.as_ref(), "b", NOW + 1), seconds(&record.unwrap().checked_at).unwrap());
}

#[test]
fn one_refusal_holds_a_new_content_back_and_the_second_try_decides() {
    use HealthVerdict::{Accepted, Forbidden, NotVisible, Refused, Unreachable};
    for (second, trial_then, verdict) in [
        (Accepted, Trial::Passed, Some(Accepted)),
        (NotVisible, Trial::Passed, Some(NotVisible)),
        (Forbidden, Trial::Passed, Some(Forbidden)),
        (Unreachable, Trial::Held, None),
        (Refused, Trial::Held, Some(Refused)),
    ] {
        let first = ended(None, &tried("a"), &said(Refused), NOW, 0.0);
        assert_eq!((first.verdict, trial(Some(&first), "a", false)), (None, Trial::Held));
        assert_eq!(due(Some(&first), "a", NOW), NOW + 60);
        let record = ended(Some(&first), &tried("a"), &said(second), NOW + 60, 0.0);
        assert_eq!((trial(Some(&record), "a", false), record.verdict), (trial_then, verdict));
        assert_eq!(trial(Some(&record), "a", true), Trial::Passed, "by a person");
    }
}

#[test]
fn what_is_copied_is_copied_on_when_it_is_refused() {
    use HealthVerdict::{Accepted, RateLimited, Refused, Unreachable};
    let record = ended(None, &tried("a"), &said(Accepted), NOW, 0.0);
    let once = ended(Some(&record), &tried("a"), &said(Refused), NOW + HOUR, 0.0);
    assert_eq!((once.verdict, once.refusals, once.held), (Some(Accepted), 1, false));
    let twice = ended(Some(&once), &tried("a"), &said(Refused), NOW + HOUR + 60, 0.0);
    assert_eq!((twice.verdict, twice.held), (Some(Refused), false));
    for later in [Unreachable, RateLimited] {
        let record = ended(Some(&twice), &tried("a"), &said(later), NOW + 2 * HOUR, 0.0);
        assert_eq!((record.verdict, record.refusals), (Some(Refused), 2));
    }
    let again = ended(Some(&twice), &tried("a"), &said(Accepted), NOW + 2 * HOUR, 0.0);
    assert_eq!((again.verdict, again.refusals), (Some(Accepted), 0));
}

#[test]
fn a_registry_can_ask_to_wait() {
    let limited =
        |seconds| Said { verdict: HealthVerdict::RateLimited, retry_after: Some(seconds) };
    let taken = ended(None, &tried("a"), &said(HealthVerdict::Accepted), NOW, 0.5);
    let record = ended(Some(&taken), &tried("a"), &limited(7200), NOW, 0.5);
    assert_eq!(record.verdict, Some(HealthVerdict::Accepted));
    assert_eq!(due(Some(&record), "a", NOW), NOW + 7200);
    let record = ended(Some(&taken), &tried("a"), &limited(u32::MAX), NOW, 0.5);
    assert_eq!(due(Some(&record), "a", NOW), NOW + WAIT_MAX);
    let short = ended(Some(&taken), &tried("a"), &limited(1), NOW, 0.5);
    assert_eq!(due(Some(&short), "a", NOW), NOW + INTERVAL);
}

/// A process begins a try, ends before that is recorded, and starts again at once: for a day.
#[test]
fn a_crash_loop_counts_as_refusals() {
    let mut record = None;
    let mut times: Vec<i64> = Vec::new();
    for now in (NOW..NOW + 24 * HOUR).step_by(5) {
        if due(record.as_ref(), "a", now) <= now {
            record = Some(begun(record.as_ref(), &tried("a"), now));
            times.push(now - NOW);
        }
    }
    assert_eq!(times.iter().filter(|at| **at < HOUR).count(), 4, "{times:?}");
    assert!(times.len() <= 4 + 4, "{times:?}");
}

/// Something makes the login again each minute, always with a wrong password.
#[test]
fn contents_that_change_all_the_time_are_not_tried_all_the_time() {
    let mut record: Option<LoginHealth> = None;
    let mut times: Vec<i64> = Vec::new();
    for now in (NOW..NOW + 24 * HOUR).step_by(60) {
        let content = now.to_string();
        if due(record.as_ref(), &content, now) <= now {
            let said = said(HealthVerdict::Refused);
            record = Some(ended(record.as_ref(), &tried(&content), &said, now, 0.0));
            times.push(now);
        }
    }
    for start in &times {
        let window = times.iter().filter(|it| (*start..start + 30 * 60).contains(*it)).count();
        assert!(window <= 4, "{times:?}");
    }
    // The right one comes through.
    let now = NOW + 24 * HOUR + 30 * 60;
    assert!(due(record.as_ref(), "right", now) <= now);
    let right = ended(record.as_ref(), &tried("right"), &said(HealthVerdict::Accepted), now, 0.0);
    assert_eq!((right.refusals, trial(Some(&right), "right", false)), (0, Trial::Passed));
}

#[test]
fn a_try_of_another_process_is_waited_for() {
    let record = begun(None, &tried("a"), NOW);
    assert_eq!(due(Some(&record), "a", NOW + 5), NOW + TRY_MAX);
    assert_eq!(due(Some(&record), "b", NOW + 5), NOW + TRY_MAX);
    assert_eq!(trial(Some(&record), "a", false), Trial::Waiting);
}

#[test]
fn a_record_from_a_clock_that_was_wrong_ends_within_a_day() {
    let record = ended(None, &tried("a"), &said(HealthVerdict::Refused), NOW + 400 * HOUR, 0.0);
    assert!(due(Some(&record), "a", NOW) <= NOW + WAIT_MAX);
    let broken = LoginHealth { checked_at: "x".to_owned(), ..record };
    assert_eq!(due(Some(&broken), "a", NOW), NOW);
}

#[test]
fn a_record_without_its_verdict_counts_tries_as_before() {
    use HealthVerdict::{Accepted, Refused};
    let taken = ended(None, &tried("a"), &said(Accepted), NOW, 0.0);
    let left = without_verdict(&taken, NOW + 60).unwrap();
    assert_eq!((left.verdict, left.held, &left.content), (None, false, &taken.content));
    assert_eq!(due(Some(&left), "a", NOW + 60), due(Some(&taken), "a", NOW + 60));
    // It has been copied meanwhile.
    assert_eq!(trial(Some(&left), "a", false), Trial::Passed);
    assert_eq!(without_verdict(&taken, NOW + HOUR), None);

    let refused = ended(None, &tried("a"), &said(Refused), NOW, 0.0);
    let left = without_verdict(&refused, NOW + 400 * HOUR).unwrap();
    assert_eq!((refused.held, left.held, left.verdict, left.refusals), (true, false, None, 1));
    assert_eq!(without_verdict(&left, NOW + 400 * HOUR).as_ref(), Some(&left));
    let again = ended(Some(&left), &tried("a"), &said(Refused), NOW + 400 * HOUR, 0.0);
    assert_eq!((again.refusals, again.verdict, again.held), (2, Some(Refused), true));

    let trying = without_verdict(&begun(None, &tried("a"), NOW), NOW + HOUR).unwrap();
    assert!(trying.trying && trial(Some(&trying), "a", false) == Trial::Waiting);
}

#[test]
fn checks_that_are_turned_off_after_each_try_refuse_a_login_no_more_often() {
    let mut record: Option<LoginHealth> = None;
    let mut times: Vec<i64> = Vec::new();
    for now in (NOW..NOW + 72 * HOUR).step_by(30) {
        if due(record.as_ref(), "a", now) <= now {
            times.push(now);
            let said = said(HealthVerdict::Refused);
            record = Some(ended(record.as_ref(), &tried("a"), &said, now, 0.0));
        }
        record = record.and_then(|it| without_verdict(&it, now));
    }
    let within = |from: i64, to: i64| times.iter().filter(|it| (from..to).contains(*it)).count();
    assert_eq!(within(NOW, NOW + HOUR), 4, "{times:?}");
    for start in times.iter().skip(4) {
        assert!(within(*start, start + 24 * HOUR) <= 5, "{times:?}");
    }
}
