//! The shop on port 8000, with one customer: the session `s3cret` is Ali's.
//!
//! ```sh
//! cargo run -p tautline-embed --bin orders
//! curl -X POST http://127.0.0.1:8000/orders/0/paid
//! ```

use std::{collections::HashMap, sync::Arc};

use tautline_embed::orders::{Orders, app, gateway};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = Arc::new(Orders::new(HashMap::from([("s3cret".to_owned(), "ali".to_owned())])));
    let gateway = gateway(&shop)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    axum::serve(listener, app(shop, gateway)).await?;
    Ok(())
}
