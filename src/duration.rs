//! Durations as Go and Kubernetes write them.

use std::time::Duration;

const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Reads a positive duration, such as `720h`, `1h30m` or `2.5s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const WRITE: &str = "write a number with a unit (h, m, s, ms), such as 720h, 90m or 2.5s";
    if let Ok(seconds) = text.parse::<f64>() {
        return Err(format!(
            "no unit: write {seconds}s for seconds, or a duration such as 720h or 1h30m"
        ));
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let (value, after) = rest.split_at(rest.len() - number.len());
        let value: f64 = value.parse().map_err(|_| WRITE)?;
        // The longer name first: `ms` is not minutes.
        let unit = UNITS.iter().find(|(unit, _)| after.starts_with(unit)).ok_or(WRITE)?;
        seconds += value * unit.1;
        rest = after.strip_prefix(unit.0).unwrap_or_default();
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| "it is too long".to_owned())?;
    if duration.is_zero() { Err(WRITE.to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, seconds) in [
            ("720h", 2_592_000.0),
            ("1h30m", 5400.0),
            ("2.5s", 2.5),
            ("1500ms", 1.5),
            ("1h0m0s", 3600.0),
            (".5s", 0.5),
        ] {
            assert_eq!(duration(text).map(|it| it.as_secs_f64()), Ok(seconds), "{text}");
        }
        for text in
            ["", "h", "0s", "-1h", "1d", "1 h", "1h 30m", "1.2.3s", "1e3s", "inf", "NaN", "9e9"]
        {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert!(duration("120").unwrap_err().contains("write 120s"));
        assert_eq!(duration("99999999999999999999h"), Err("it is too long".to_owned()));
    }
}
