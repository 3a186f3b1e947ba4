//! Shows messages in the other format: a line that begins with `{` as msgpack in hex, and hex as lines of json.
//!
//! `echo 81a470696e6780 | cargo run -p tautline-protocol --example msgpack`

use std::io::{self, BufRead as _, BufWriter, Write as _};

use tautline_protocol::msgpack::{from_json, to_json};

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.starts_with('{') {
            from_json(line.as_bytes()).iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
            writeln!(out)?;
        } else {
            out.write_all(to_json(&bytes(&line)).as_bytes())?;
        }
    }
    out.flush()
}

/// What is no hex ends it.
fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2).map(|pair| str::from_utf8(pair).ok());
    pairs.map_while(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}
