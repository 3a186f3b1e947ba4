//! Connections to a node: made, and logged in.

use std::{fmt, io, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::resp::{self, Command, Value};

/// A connection.
pub(crate) type Socket = TcpStream;

/// How to log in. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: Option<Arc<str>>,
    pub(crate) password: Option<Arc<str>>,
    /// The number of the database; a cluster has only 0.
    pub(crate) database: u32,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// Connects and logs in.
pub(crate) async fn connect(address: &str, account: &Account) -> io::Result<Socket> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut greetings = Vec::new();
    if let Some(password) = &account.password {
        let auth = Command::new("AUTH");
        let auth = account.user.iter().fold(auth, |auth, user| auth.arg(&**user));
        greetings.push(auth.arg(&**password));
    }
    if account.database > 0 {
        greetings.push(Command::new("SELECT").number(u64::from(account.database)));
    }
    // Without a greeting "max number of clients reached" would be taken for the reply to the first call.
    greetings.push(Command::new("PING"));
    let replies = exchange(&mut socket, &greetings).await?;
    let is_ping = |index| index + 1 == greetings.len();
    for (index, reply) in replies.iter().enumerate() {
        if let Some(words) = reply.error()
            // Other refusals of a PING (LOADING, NOPERM) are for the calls to meet and to understand.
            && (!is_ping(index) || words.starts_with("ERR "))
        {
            return Err(io::Error::other(words.to_owned()));
        }
    }
    Ok(socket)
}

/// Sends commands and waits for the reply to each, on a connection without other traffic.
pub(crate) async fn exchange(socket: &mut Socket, commands: &[Command]) -> io::Result<Vec<Value>> {
    let mut bytes = Vec::new();
    commands.iter().for_each(|command| command.write(true, &mut bytes));
    socket.write_all(&bytes).await?;
    let mut replies = Vec::new();
    bytes.clear();
    while replies.len() < commands.len() {
        match resp::read(&bytes).map_err(io::Error::other)? {
            Some((reply, length)) => {
                replies.push(reply);
                bytes.drain(..length);
            }
            None if socket.read_buf(&mut bytes).await? == 0 => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            None => {}
        }
    }
    Ok(replies)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn connect_to(greeting: &'static str) -> io::Result<Socket> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let serve = async {
            let (mut socket, _) = listener.accept().await?;
            socket.write_all(greeting.as_bytes()).await?;
            Ok::<_, io::Error>(socket)
        };
        let account = Account::default();
        let (_served, connected) = tokio::join!(serve, connect(&address, &account));
        connected
    }

    #[tokio::test]
    async fn full_server_refuses_the_connection_itself() {
        let refused = connect_to("-ERR max number of clients reached\r\n").await;
        assert!(refused.is_err_and(|error| error.to_string().contains("max number of clients")));
        for fine in ["+PONG\r\n", "-LOADING Redis is loading the dataset in memory\r\n"] {
            assert!(connect_to(fine).await.is_ok(), "{fine}");
        }
    }
}
