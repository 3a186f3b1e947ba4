//! Numbers as people read them.

/// Three digits of what is small, all of what is large.
pub fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => grouped(large.round().to_string().parse().unwrap_or(u32::MAX)),
        middle if middle >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Thousands, as people read them.
pub fn grouped(count: u32) -> String {
    if count >= 1000 { format!("{},{:03}", count / 1000, count % 1000) } else { count.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_people_read() {
        assert_eq!([0.456, 12.34, 456.7, 63_570.0].map(number), ["0.46", "12.3", "457", "63,570"]);
    }
}
