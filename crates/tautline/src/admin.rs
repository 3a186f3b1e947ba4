//! `tautline admin`: the accounts of the console.
//!
//! Start at [`run`]. A password comes from a prompt or from stdin, never from an argument, which every user of the machine
//! sees. A running gateway notices each change at once.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, ensure};
use tautline_console::{Account, AccountFile, ConsoleScope, PASSWORD_BYTES_MAX, PasswordHasher};

use crate::{config::Settings, console};

/// What is done to accounts.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum AdminCommand {
    /// Give an account another password. Where there is no account yet, this makes the first one, which may do everything.
    SetPassword {
        /// The account.
        name: String,
    },
    /// Add an account.
    Add {
        /// The account.
        name: String,
        /// What it may do: `read`, also `act`, or everything (`admin`).
        #[arg(long, default_value_t = ConsoleScope::Read)]
        scope: ConsoleScope,
    },
    /// Remove an account. It is signed out.
    Remove {
        /// The account.
        name: String,
    },
    /// List the accounts.
    List,
}

/// Does it.
///
/// # Errors
/// For an unfit name or password, and where the accounts cannot be read or written.
pub fn run(command: AdminCommand, settings: &Settings) -> anyhow::Result<ExitCode> {
    let folder = console::folder(settings);
    let file = AccountFile::in_folder(&folder);
    let said = match command {
        AdminCommand::SetPassword { name } => {
            let is_first = file.accounts()?.is_empty();
            let hash = new_hash()?;
            match is_first {
                true => file.add(Account { name: name.clone(), scope: ConsoleScope::Admin, hash })?,
                false => file.set_hash(&name, hash)?,
            }
            format!("{name} signs in with the new password\n")
        }
        AdminCommand::Add { name, scope } => {
            file.add(Account { name: name.clone(), scope, hash: new_hash()? })?;
            format!("{name} may sign in, with the scope {scope}\n")
        }
        AdminCommand::Remove { name } => {
            file.remove(&name)?;
            format!("{name} may sign in no more\n")
        }
        AdminCommand::List => {
            let accounts = file.accounts()?;
            accounts.iter().map(|account| format!("{} {}\n", account.name, account.scope)).collect()
        }
    };
    io::stdout().write_all(said.as_bytes()).context("cannot print")?;
    Ok(ExitCode::SUCCESS)
}

fn new_hash() -> anyhow::Result<String> {
    let password = password()?;
    Ok(PasswordHasher::new()?.hash(&password)?)
}

fn password() -> anyhow::Result<String> {
    if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("new password: ").context("cannot ask for a password")?;
        let again = rpassword::prompt_password("again: ").context("cannot ask for a password")?;
        ensure!(password == again, "the two are not the same");
        return Ok(password);
    }
    let mut line = String::new();
    let most = PASSWORD_BYTES_MAX as u64 + 3;
    io::Read::take(io::stdin().lock(), most).read_line(&mut line).context("cannot read a password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
