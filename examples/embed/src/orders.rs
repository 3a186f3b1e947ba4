//! A shop with its own sessions, orders and routes. Its customers see what happens to their orders at once, wherever
//! they are: in the order's channel while they look at it, in their inbox if they do not.
//!
//! | of the shop | through the gateway |
//! |---|---|
//! | sessions | `Orders::login` answers the logins of clients |
//! | whose an order is | `Orders::may_see` answers who may subscribe to `order:<number>` |
//! | `POST /orders/{number}/paid`, from the payment service | publishes to the order's channel and to the customer's inbox |
//! | | the method `orders.open` opens an order |

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use tautline_gateway::{
    Access, Auth, Authorization, AuthorizeQuestion, BuildError, CallError, ChannelName, ChannelRule, Gateway,
    Identity, LoginRefused, LoginResult, PublishOptions, RulePattern, UserId,
};

/// An order.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub number: usize,
    /// The customer.
    pub customer: String,
    /// What was ordered.
    pub item: String,
    /// Whether it is paid.
    pub paid: bool,
}

/// The payload of `orders.open`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Open {
    /// What is ordered.
    pub item: String,
}

/// The shop's own data; in a real shop, a database.
#[derive(Debug, Default)]
pub struct Orders {
    sessions: HashMap<String, String>,
    orders: Mutex<Vec<Order>>,
}

impl Orders {
    /// A shop with these sessions: from the session's secret to the customer.
    #[must_use]
    pub fn new(sessions: HashMap<String, String>) -> Self {
        Self { sessions, orders: Mutex::default() }
    }

    /// Whose session is this?
    async fn login(&self, auth: Auth) -> Option<LoginResult> {
        // Anything else is left to what the gateway was told of keys and guests: here, to nobody.
        let Auth::Token { token } = auth else { return None };
        let user = self.sessions.get(&token).and_then(|customer| UserId::parse(customer).ok());
        let refused = || LoginRefused::Unauthorized("there is no such session: log in again".to_owned());
        Some(user.map(|user| Identity { user: Some(user), ..Identity::default() }).ok_or_else(refused))
    }

    /// Is this the customer's own order?
    async fn may_see(&self, question: AuthorizeQuestion) -> Authorization {
        let number = question.channel.as_str().strip_prefix("order:").and_then(|number| number.parse().ok());
        let owner = number.and_then(|number: usize| self.get(number)).map(|order| order.customer);
        let customer = question.identity.user.as_ref().map(UserId::as_str);
        if owner.is_some() && owner.as_deref() == customer {
            Authorization::ALLOW
        } else {
            Authorization::deny("this is not an order of yours")
        }
    }

    fn open(&self, customer: &UserId, item: String) -> Order {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let order = Order { number: orders.len(), customer: customer.to_string(), item, paid: false };
        orders.push(order.clone());
        order
    }

    fn get(&self, number: usize) -> Option<Order> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).get(number).cloned()
    }

    fn pay(&self, number: usize) -> Option<Order> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let order = orders.get_mut(number)?;
        order.paid = true;
        Some(order.clone())
    }
}

/// The gateway of the shop.
///
/// # Errors
/// When it cannot be built, see [`BuildError`].
pub fn gateway(shop: &Arc<Orders>) -> Result<Gateway, BuildError> {
    let (logins, permissions, calls) = (Arc::clone(shop), Arc::clone(shop), Arc::clone(shop));
    let pattern = RulePattern::parse("order:*").expect("this is a pattern");
    Gateway::builder()
        .on_login(move |login| {
            let shop = Arc::clone(&logins);
            async move { shop.login(login.auth).await }
        })
        .rules(vec![ChannelRule { subscribe: Access::Backend, ..ChannelRule::closed(pattern) }])
        .on_permission(move |question| {
            let shop = Arc::clone(&permissions);
            async move { shop.may_see(question).await }
        })
        .call_json("orders.open", move |call, open: Open| {
            let shop = Arc::clone(&calls);
            async move {
                let customer =
                    call.user.ok_or_else(|| CallError::new("permission_denied", "log in to order"))?;
                Ok(shop.open(&customer, open.item))
            }
        })
        .build()
}

#[derive(Clone)]
struct App {
    shop: Arc<Orders>,
    gateway: Gateway,
}

/// The shop's routes, and the gateway's beside them.
pub fn app(shop: Arc<Orders>, gateway: Gateway) -> Router {
    let routes = gateway.router();
    Router::new()
        .route("/orders/{number}", get(show))
        .route("/orders/{number}/paid", post(paid))
        .with_state(App { shop, gateway })
        .merge(routes)
}

async fn show(State(app): State<App>, Path(number): Path<usize>) -> Result<Json<Order>, StatusCode> {
    app.shop.get(number).map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// The payment service tells the shop, and the shop tells the customer.
async fn paid(
    State(app): State<App>,
    Path(number): Path<usize>,
) -> Result<Json<Order>, (StatusCode, String)> {
    let internal = |error: String| (StatusCode::INTERNAL_SERVER_ERROR, error);
    let order = app.shop.pay(number).ok_or((StatusCode::NOT_FOUND, "there is no such order".to_owned()))?;
    let customer = UserId::parse(&order.customer).map_err(|error| internal(error.to_string()))?;
    let news = to_raw_value(&order).map_err(|error| internal(error.to_string()))?;
    // The payment service may tell it twice; the customer hears it once.
    let key = format!("paid:{number}");
    let once = || PublishOptions { idempotency_key: Some(&key), ..PublishOptions::default() };
    let channels = [ChannelName::parse(&format!("order:{number}")), ChannelName::of_user(&customer)];
    for channel in channels {
        let channel = channel.map_err(|error| internal(error.to_string()))?;
        let published = app.gateway.publish(&channel, &news, once()).await;
        published.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.message.to_string()))?;
    }
    Ok(Json(order))
}
