//! A gateway inside an axum application of your own: its routes beside yours, on one port.
//!
//! `cargo run -p tautline --example embed`, then open the address that it prints.

use axum::{Router, routing::get};
use tautline_gateway::{CallError, Gateway};
use tautline_hub::{Access, ChannelRule, PresenceMode, RulePattern};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let gateway = Gateway::builder()
        .guests(true)
        .rules(vec![ChannelRule {
            subscribe: Access::Any,
            publish: Access::Any,
            presence: PresenceMode::Events,
            ..ChannelRule::closed(RulePattern::parse("room:*")?)
        }])
        .call("echo", |call| async move { Ok(call.data) })
        .call("buy", |_call| async { Err(CallError::new("sold_out", "come back tomorrow")) })
        .build()?;

    let app = Router::new().route("/", get(|| async { "connect to /connect" })).merge(gateway.router());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
