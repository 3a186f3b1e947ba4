//! The quiz on port 8000, for everybody on this machine.
//!
//! ```sh
//! cargo run -p tautline-embed --bin quiz
//! ```

use tautline_embed::quiz::gateway;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    gateway()?.serve(listener).await?;
    Ok(())
}
