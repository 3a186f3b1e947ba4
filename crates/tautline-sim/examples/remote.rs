//! The hub on a virtual clock, for clients in another process: an order a line from the file of the first argument, an answer
//! a line to that of the second. `sdk/test/model` runs the TypeScript client against it.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
};

use tautline_sim::Remote;

fn main() -> io::Result<()> {
    let mut files = std::env::args().skip(1);
    let (Some(orders), Some(answers)) = (files.next(), files.next()) else {
        return Err(io::Error::other("usage: remote ORDERS ANSWERS"));
    };
    let orders = BufReader::new(File::open(orders)?);
    let mut answers = OpenOptions::new().write(true).open(answers)?;
    let mut remote = None;
    for order in orders.lines() {
        let mut answer = Remote::obey(&mut remote, &order?);
        answer.push('\n');
        answers.write_all(answer.as_bytes())?;
    }
    Ok(())
}
