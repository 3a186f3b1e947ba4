//! Messages between nodes as text, and what of a stream of them was read. No I/O.
//!
//! Start at [`Message`] and [`Cursor::take`].

use tautline_engine::{Ban, BanChange, Revocation, RevokedLogins};

use crate::resp::Value;

/// A message, in the stream of all nodes or in the inbox of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Revoked(Revocation),
    Ban(BanChange),
    /// Of a hub.
    Told(Box<str>),
    /// The sender has claimed a session by this attempt; it waits for an answer with this number.
    Claimed {
        number: u64,
        session: u128,
        attempt: u64,
    },
    /// What is handed over after the claim with this number; `None`: nothing.
    Handed {
        number: u64,
        handed: Option<Box<str>>,
    },
}

impl Message {
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Revoked(revocation) => {
                format!("r{} {}", revocation.until, member(&revocation.subject))
            }
            Self::Ban(BanChange::Set(ban)) => format!("b{} {}\n{}", ban.until, ban.subject, ban.reason),
            Self::Ban(BanChange::Lift(subject)) => format!("l{subject}"),
            Self::Told(text) => format!("t{text}"),
            Self::Claimed { number, session, attempt } => format!("c{number} {attempt} {session:032x}"),
            Self::Handed { number, handed } => format!("h{number} {}", handed.as_deref().unwrap_or_default()),
        }
    }

    /// `None` for a message of a version that is not known here.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        let pair = || rest.split_once(' ');
        Some(match kind {
            "r" => {
                let (until, member) = pair()?;
                Self::Revoked(Revocation { subject: subject(member)?, until: until.parse().ok()? })
            }
            "b" => {
                let (until, subject) = pair()?;
                let (subject, reason) = subject.split_once('\n')?;
                let (until, reason) = (until.parse().ok()?, reason.into());
                Self::Ban(BanChange::Set(Ban { subject: subject.parse().ok()?, until, reason }))
            }
            "l" => Self::Ban(BanChange::Lift(rest.parse().ok()?)),
            "t" => Self::Told(rest.into()),
            "c" => {
                let (number, claim) = pair()?;
                let (attempt, session) = claim.split_once(' ')?;
                let session = u128::from_str_radix(session, 16).ok()?;
                Self::Claimed { number: number.parse().ok()?, session, attempt: attempt.parse().ok()? }
            }
            "h" => {
                let (number, text) = pair()?;
                let handed = Some(text.into()).filter(|_| !text.is_empty());
                Self::Handed { number: number.parse().ok()?, handed }
            }
            _ => return None,
        })
    }
}

/// Revoked logins as text.
pub(crate) fn member(subject: &RevokedLogins) -> String {
    match subject {
        RevokedLogins::Session(session) => format!("s{session:032x}"),
        RevokedLogins::Token(token) => format!("t{token:032x}"),
        RevokedLogins::User { user, before } => format!("u{user:032x}{before}"),
    }
}

/// The revoked logins of such a text.
pub(crate) fn subject(member: &str) -> Option<RevokedLogins> {
    let (kind, rest) = member.split_at_checked(1)?;
    let (number, before) = rest.split_at_checked(32)?;
    let number = u128::from_str_radix(number, 16).ok()?;
    match kind {
        "s" => Some(RevokedLogins::Session(number)),
        "t" => Some(RevokedLogins::Token(number)),
        "u" => Some(RevokedLogins::User { user: number, before: before.parse().ok()? }),
        _ => None,
    }
}

/// How far a stream was read: time and number of the last message. Numbers rise by one, so a message that is
/// missing is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    at: u64,
    number: u64,
}

/// What was missed of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Messages that were dropped before they were read.
    Dropped,
    /// The stream has gone back: Redis has lost data.
    Lost,
}

/// A page of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Messages, each with the process that sent it.
    pub(crate) messages: Vec<(u64, Message)>,
    /// How many entries there were.
    pub(crate) entries: usize,
    pub(crate) missed: Option<Missed>,
}

impl Cursor {
    /// At the last message, by its counter.
    pub(crate) fn at_end(counter: &Value) -> Self {
        let Some([number, at]) = counter.array() else { return Self::default() };
        Self { at: at.number().unwrap_or_default(), number: number.number().unwrap_or_default() }
    }

    /// From where to read on.
    pub(crate) fn after(self) -> String {
        format!("({}-{}", self.at, self.number)
    }

    /// The entries up to here have been read.
    pub(crate) fn next_id(self) -> String {
        format!("{}-{}", self.at, self.number + 1)
    }

    /// Takes a page that was read after the counter.
    pub(crate) fn take(&mut self, counter: &Value, page: &Value) -> Taken {
        let mut taken = Taken::default();
        for entry in page.array().unwrap_or_default() {
            let Some((at, number, sender, text)) = entry_of(entry) else { continue };
            if number != self.number + 1 {
                taken.missed = Some(if number > self.number { Missed::Dropped } else { Missed::Lost });
            }
            *self = Self { at, number };
            taken.entries += 1;
            taken.messages.extend(Message::decode(text).map(|message| (sender, message)));
        }
        if taken.entries == 0 {
            let end = Self::at_end(counter);
            if end.number != self.number {
                let is_ahead = end.number > self.number;
                taken.missed = Some(if is_ahead { Missed::Dropped } else { Missed::Lost });
                *self = end;
            }
        }
        taken
    }
}

fn entry_of(entry: &Value) -> Option<(u64, u64, u64, &str)> {
    let [id, fields] = entry.array()? else { return None };
    let [_, sender, _, text] = fields.array()? else { return None };
    let (at, number) = id.text()?.split_once('-')?;
    let sender = u64::from_str_radix(sender.text()?, 16).ok()?;
    Some((at.parse().ok()?, number.parse().ok()?, sender, text.text()?))
}

#[cfg(test)]
mod tests {
    use tautline_engine::BanSubject;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn page(numbers: std::ops::RangeInclusive<u64>) -> Value {
        let entry = |number| {
            let fields = ["p", "2a", "m", "thello"].map(text).to_vec();
            Value::Array(vec![text(&format!("1000-{number}")), Value::Array(fields)])
        };
        Value::Array(numbers.map(entry).collect())
    }

    fn counter(number: u64) -> Value {
        Value::Array(vec![text(&number.to_string()), text("1000")])
    }

    #[test]
    fn message_is_read_back_as_written() {
        let subject: BanSubject = "user:ann".parse().expect("valid");
        let ban = Ban { subject: subject.clone(), until: 9, reason: "rude\nagain".into() };
        let user = RevokedLogins::User { user: 7, before: 5 };
        for message in [
            Message::Revoked(Revocation { subject: user, until: Revocation::FOREVER }),
            Message::Ban(BanChange::Set(ban)),
            Message::Ban(BanChange::Lift(subject)),
            Message::Told("{}".into()),
            Message::Claimed { number: 3, session: u128::MAX - 5, attempt: 1 << 52 },
            Message::Handed { number: 3, handed: None },
            Message::Handed { number: 4, handed: Some("{ }\n".into()) },
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        for foreign in ["", "x", "r", "r1", "b1 user:ann", "c1 2", "cx 2 3", "h", "lann", "ä"] {
            assert_eq!(Message::decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn messages_are_taken_once_and_in_order() {
        let mut cursor = Cursor::at_end(&counter(4));
        let taken = cursor.take(&counter(6), &page(5..=6));
        assert_eq!((taken.messages.len(), taken.missed), (2, None));
        assert_eq!(taken.messages[0], (0x2a, Message::Told("hello".into())));
        assert_eq!((cursor.after(), cursor.next_id()), ("(1000-6".to_owned(), "1000-7".to_owned()));
        assert_eq!(cursor.take(&counter(6), &Value::Array(Vec::new())), Taken::default());
    }

    #[test]
    fn missing_messages_are_noticed() {
        let empty = Value::Array(Vec::new());
        let mut cursor = Cursor::at_end(&counter(4));
        assert_eq!(cursor.take(&counter(9), &page(7..=9)).missed, Some(Missed::Dropped));
        assert_eq!(cursor.take(&counter(12), &empty).missed, Some(Missed::Dropped), "all have expired");
        assert_eq!(cursor.take(&counter(12), &empty).missed, None, "said once");
        assert_eq!(cursor.take(&counter(2), &page(2..=2)).missed, Some(Missed::Lost));
        assert_eq!(
            cursor.take(&Value::Array(vec![Value::Nil, Value::Nil]), &empty).missed,
            Some(Missed::Lost)
        );
    }
}
