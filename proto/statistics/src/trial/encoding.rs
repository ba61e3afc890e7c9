//! Facts as few bytes, as the mirror keeps them beside each trial.
//!
//! Numbers are little-endian, lengths and counts are in base 128 with the lowest seven bits first. The first byte is
//! [`FORMAT`]. Facts in another format are not decoded; the trial's text is read instead.

use std::borrow::Cow;

use super::facts::TrialFacts;

/// The format that this release writes and reads. It changes with the layout, and when facts are read out of a trial in
/// another way.
pub const FORMAT: u8 = 1;

/// How many values of each kind follow the flags.
const TEXTS: usize = 7;
const NUMBERS: usize = 4;
const COUNTS: usize = 4;
const TIMES: usize = 3;

/// The flags, one bit each.
mod flag {
    pub(super) const ENDED: u64 = 1;
    pub(super) const LOST: u64 = 1 << 1;
    pub(super) const CANCELLED: u64 = 1 << 2;
    pub(super) const GRADED: u64 = 1 << 3;
    pub(super) const VALID: u64 = 1 << 4;
    pub(super) const SOLVED_KNOWN: u64 = 1 << 5;
    pub(super) const SOLVED: u64 = 1 << 6;
    pub(super) const CONTRADICTORY: u64 = 1 << 7;
    pub(super) const COUNTS: u64 = 1 << 8;
}

/// How a number is written: the most frequent ones are a single byte.
mod number {
    pub(super) const ABSENT: u8 = 0;
    pub(super) const ZERO: u8 = 1;
    pub(super) const ONE: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
}

/// Encodes the facts of a trial.
#[must_use]
pub fn encode(facts: &TrialFacts<'_>) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(192));
    out.0.push(FORMAT);
    let flags = [
        (flag::ENDED, facts.ended),
        (flag::LOST, facts.lost),
        (flag::CANCELLED, facts.cancelled),
        (flag::GRADED, facts.graded),
        (flag::VALID, facts.valid),
        (flag::SOLVED_KNOWN, facts.solved.is_some()),
        (flag::SOLVED, facts.solved == Some(true)),
        (flag::CONTRADICTORY, facts.contradictory),
        (flag::COUNTS, facts.counts),
    ];
    let set = flags.into_iter().filter(|(_, is_set)| *is_set);
    out.unsigned(set.fold(0, |all, (bit, _)| all | bit));
    for text in [
        &facts.id,
        &facts.task,
        &facts.agent,
        &facts.model,
        &facts.dataset,
        &facts.status,
        &facts.message,
    ] {
        out.text(text);
    }
    for number in [
        facts.reward,
        facts.counted_reward,
        facts.cost_usd,
        facts.duration_s,
    ] {
        out.number(number);
    }
    for count in [
        facts.input_tokens,
        facts.cached_tokens,
        facts.output_tokens,
        facts.attempt,
    ] {
        out.count(count);
    }
    for time in [facts.created_ms, facts.started_ms, facts.completed_ms] {
        out.time(time);
    }
    out.length(facts.rewards.len());
    for (key, reward) in &facts.rewards {
        out.text(key);
        out.0.extend(reward.to_le_bytes());
    }
    out.length(facts.exceptions.len());
    for kind in &facts.exceptions {
        out.text(kind);
    }
    out.0
}

/// Whether [`decode`] can read these bytes. Takes a third of its time.
#[must_use]
pub(super) fn is_readable(encoded: &[u8]) -> bool {
    let mut from = Reader(encoded);
    let mut skip_all = || {
        if from.byte()? != FORMAT {
            return None;
        }
        from.unsigned()?;
        for _ in 0..TEXTS {
            from.bytes()?;
        }
        for _ in 0..NUMBERS {
            from.number()?;
        }
        for _ in 0..COUNTS + TIMES {
            from.unsigned()?;
        }
        for _ in 0..from.list_length()? {
            from.bytes()?;
            from.float()?;
        }
        for _ in 0..from.list_length()? {
            from.bytes()?;
        }
        Some(())
    };
    skip_all().is_some() && from.0.is_empty()
}

/// Decodes what [`encode`] wrote; `None` for another format, and for bytes that are not as long as they say.
#[must_use]
pub fn decode(encoded: &[u8]) -> Option<TrialFacts<'_>> {
    let mut from = Reader(encoded);
    if from.byte()? != FORMAT {
        return None;
    }
    let flags = from.unsigned()?;
    let has = |bit: u64| flags & bit != 0;
    // The fields in the order in which they are written, each read in its place.
    let facts = TrialFacts {
        ended: has(flag::ENDED),
        lost: has(flag::LOST),
        cancelled: has(flag::CANCELLED),
        graded: has(flag::GRADED),
        valid: has(flag::VALID),
        solved: has(flag::SOLVED_KNOWN).then(|| has(flag::SOLVED)),
        counts: has(flag::COUNTS),
        contradictory: has(flag::CONTRADICTORY),
        id: from.text()?,
        task: from.text()?,
        agent: from.text()?,
        model: from.text()?,
        dataset: from.text()?,
        status: from.text()?,
        message: from.text()?,
        reward: from.number()?,
        counted_reward: from.number()?,
        cost_usd: from.number()?,
        duration_s: from.number()?,
        input_tokens: from.count()?,
        cached_tokens: from.count()?,
        output_tokens: from.count()?,
        attempt: from.count()?,
        created_ms: from.time()?,
        started_ms: from.time()?,
        completed_ms: from.time()?,
        rewards: from.list(|from| Some((from.text()?, from.float()?)))?,
        exceptions: from.list(Reader::text)?,
    };
    from.0.is_empty().then_some(facts)
}

struct Writer(Vec<u8>);

impl Writer {
    fn unsigned(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn length(&mut self, length: usize) {
        self.unsigned(length as u64);
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: Option<f64>) {
        match number {
            None => self.0.push(number::ABSENT),
            Some(0.0) => self.0.push(number::ZERO),
            Some(1.0) => self.0.push(number::ONE),
            Some(number) => {
                self.0.push(number::FLOAT);
                self.0.extend(number.to_le_bytes());
            }
        }
    }

    /// Writes one more than the count, and 0 for none.
    fn count(&mut self, count: Option<u64>) {
        self.unsigned(count.map_or(0, |count| count.saturating_add(1)));
    }

    /// Writes a time; earlier than 1970 counts as none.
    fn time(&mut self, time: Option<i64>) {
        self.count(time.and_then(|time| u64::try_from(time).ok()));
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.list_length()?;
        (0..length).map(|_| read(self)).collect()
    }

    fn list_length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        // Each element has a byte at least, so damage cannot ask for more memory than there are bytes.
        (length <= self.0.len()).then_some(length)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Reads a text. Damage within it takes no trial away: the mirror's upkeep finds and mends it.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        let bytes = self.bytes()?;
        Some(match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        })
    }

    fn float(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes))
    }

    fn number(&mut self) -> Option<Option<f64>> {
        Some(match self.byte()? {
            number::ABSENT => None,
            number::ZERO => Some(0.0),
            number::ONE => Some(1.0),
            number::FLOAT => Some(self.float()?),
            _ => return None,
        })
    }

    fn count(&mut self) -> Option<Option<u64>> {
        Some(self.unsigned()?.checked_sub(1))
    }

    fn time(&mut self) -> Option<Option<i64>> {
        let time = self.count()?;
        Some(time.map(|time| i64::try_from(time).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Cow<'static, str>> {
        "[a-zä\u{1f600}/_ ]{0,200}".prop_map(Cow::from)
    }

    fn number() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            Just(None),
            Just(Some(0.0)),
            Just(Some(1.0)),
            any::<f64>()
                .prop_filter("equal to itself", |n| !n.is_nan())
                .prop_map(Some)
        ]
    }

    prop_compose! {
        fn facts()(
            texts in prop::array::uniform7(text()),
            flags in prop::array::uniform7(any::<bool>()),
            solved in any::<Option<bool>>(),
            numbers in prop::array::uniform4(number()),
            whole in prop::array::uniform4(any::<Option<u32>>()),
            times in prop::array::uniform3(prop::option::of(0..i64::MAX - 1)),
            rewards in prop::collection::vec((text(), -1e9..1e9), 0..4),
            exceptions in prop::collection::vec(text(), 0..4),
        ) -> TrialFacts<'static> {
            let [id, task, agent, model, dataset, status, message] = texts;
            let [ended, lost, cancelled, graded, valid, contradictory, counts] = flags;
            let [reward, counted_reward, cost_usd, duration_s] = numbers;
            let [input_tokens, cached_tokens, output_tokens, attempt] = whole.map(|n| n.map(u64::from));
            let [created_ms, started_ms, completed_ms] = times;
            TrialFacts {
                id, task, agent, model, dataset, status, message, ended, lost, cancelled, graded, valid,
                contradictory, counts, solved, reward, counted_reward, cost_usd, duration_s, input_tokens,
                cached_tokens, output_tokens, attempt, created_ms, started_ms, completed_ms, rewards,
                exceptions,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(facts in facts()) {
            let encoded = encode(&facts);
            prop_assert!(is_readable(&encoded));
            prop_assert_eq!(decode(&encoded), Some(facts));
        }

        #[test]
        fn damage_is_noticed_or_harmless(facts in facts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut encoded = encode(&facts);
            let at = at.index(encoded.len());
            prop_assert_eq!(decode(&encoded[..at]), None);
            encoded[at] = byte;
            prop_assert_eq!(decode(&encoded).is_some(), is_readable(&encoded));
        }
    }

    #[test]
    fn another_format_is_not_read() {
        let mut encoded = encode(&TrialFacts::default());
        encoded[0] = FORMAT + 1;
        assert_eq!(decode(&encoded), None);
    }
}
