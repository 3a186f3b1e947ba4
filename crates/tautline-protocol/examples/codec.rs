//! Converts messages for another program, for as long as it asks: the SDK's tests hold its codec against this one.
//!
//! A question is a letter, a length in four bytes (big end first), and so many bytes: `j` and lines of json, or `m` and a
//! message in msgpack. The answer is a length and the same in the other format.

use std::io::{self, BufReader, BufWriter, ErrorKind, Read as _, Write as _};

use tautline_protocol::msgpack::{from_json, to_json};

fn main() -> io::Result<()> {
    let mut questions = BufReader::new(io::stdin().lock());
    let mut answers = BufWriter::new(io::stdout().lock());
    let mut head = [0; 5];
    loop {
        match questions.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return answers.flush(),
            other => other?,
        }
        let [kind, length @ ..] = head;
        let mut message = Vec::new();
        questions.by_ref().take(u32::from_be_bytes(length).into()).read_to_end(&mut message)?;
        let answer = if kind == b'j' { from_json(&message) } else { to_json(&message).into_bytes() };
        let length = u32::try_from(answer.len()).map_err(io::Error::other)?;
        answers.write_all(&length.to_be_bytes())?;
        answers.write_all(&answer)?;
    }
}
