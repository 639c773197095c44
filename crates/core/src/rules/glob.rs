//! `*` as Kubernetes knows it: any text, also none.

/// Whether `text` is covered by `glob`, in which `*` stands for any text, also none.
///
/// Compares bytes; both sides are ASCII by the time they get here. Costs at most the product of
/// the two lengths, without recursion: only the last `*` is ever tried again.
pub(super) fn covers(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut g, mut t) = (0, 0);
    let mut last_star = None;
    while t < text.len() {
        if glob.get(g) == Some(&b'*') {
            last_star = Some((g, t));
            g += 1;
        } else if glob.get(g) == Some(&text[t]) {
            g += 1;
            t += 1;
        } else if let Some((star, start)) = last_star {
            last_star = Some((star, start + 1));
            g = star + 1;
            t = start + 1;
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|&byte| byte == b'*')
}

/// Whether some text fits both globs.
pub(super) fn meet(one: &[u8], other: &[u8]) -> bool {
    // What is left of `one` against each rest of `other`, from the end: row by row, so that globs of many stars cost
    // no more than the product of their lengths.
    let width = other.len() + 1;
    let mut below = vec![false; width];
    for i in (0..=one.len()).rev() {
        let mut row = vec![false; width];
        for j in (0..width).rev() {
            row[j] = match (one.get(i), other.get(j)) {
                (None, None) => true,
                (Some(b'*'), _) => below[j] || (j + 1 < width && row[j + 1]),
                (_, Some(b'*')) => row[j + 1] || (i < one.len() && below[j]),
                (Some(a), Some(b)) => a == b && below[j + 1],
                _ => false,
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{covers, meet};

    #[test]
    fn stars_stand_for_any_text() {
        for (glob, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("ecr", "ecr", true),
            ("ecr", "ecrx", false),
            ("ecr", "ec", false),
            ("ecr-*", "ecr-", true),
            ("ecr-*", "ecr", false),
            ("*-1", "eu-west-1", true),
            ("*-1", "eu-west-12", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(covers(glob, text), expected, "{glob} {text}");
        }
    }

    /// The definition, word for word: exponential, so only for short texts.
    fn defined(glob: &str, text: &str) -> bool {
        match glob.chars().next() {
            None => text.is_empty(),
            Some('*') => (0..=text.len()).any(|skip| defined(&glob[1..], &text[skip..])),
            Some(literal) => text.starts_with(literal) && defined(&glob[1..], &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(glob in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(covers(&glob, &text), defined(&glob, &text));
        }
    }

    #[test]
    fn globs_meet_where_a_text_fits_both() {
        for (one, other, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("team-*", "team-a", true),
            ("team-*", "*-prod", true),
            ("team-*", "batch-*", false),
            ("a*b", "a*c", false),
            ("a*b*c", "*x*", true),
            ("*", "", true),
            ("a*", "*a", true),
            ("ab*", "*a", true),
            ("a", "a*a", false),
        ] {
            assert_eq!(meet(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
            assert_eq!(meet(other.as_bytes(), one.as_bytes()), expected, "{other} {one}");
        }
    }
}
