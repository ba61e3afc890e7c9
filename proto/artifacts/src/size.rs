//! Sizes as people write them: `10GB`, `512MiB`.

const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("tib", 1 << 40),
];

/// Parses a size in bytes.
///
/// # Errors
///
/// A message for the user that says what is wrong.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit);
    let size = number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, (_, factor))| number.checked_mul(*factor));
    size.ok_or_else(|| format!("`{text}` is not a size; write it like 10GB or 512MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_in_decimal_and_binary_units() {
        for (text, size) in [
            ("0", 0),
            ("10GB", 10_000_000_000),
            ("512 MiB", 512 << 20),
            ("7k", 7_000),
        ] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
        for bad in [
            "",
            "GB",
            "1.5GB",
            "-1",
            "1XB",
            "99999999999999999999",
            "99999999TB",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
