//! How people read spans of time.

/// A span in its two largest units, as `kubectl` writes ages: `3d4h`, `12m5s`, `0s`. What is negative counts as zero.
pub fn span_text(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds.max(0);
    let Some(first) = units.iter().position(|(size, _)| rest >= *size) else { return "0s".to_owned() };
    let mut text = String::new();
    for (size, unit) in units.iter().skip(first).take(2) {
        if rest >= *size {
            text += &format!("{}{unit}", rest / size);
            rest %= size;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_in_their_two_largest_units() {
        let table =
            [(0, "0s"), (59, "59s"), (60, "1m"), (125, "2m5s"), (7_200, "2h"), (90_061, "1d1h"), (-5, "0s")];
        for (seconds, expected) in table {
            assert_eq!(span_text(seconds), expected);
        }
    }
}
