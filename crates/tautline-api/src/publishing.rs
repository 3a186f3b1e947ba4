//! Operations that publish.

use axum::Json;
use serde::{Deserialize, Serialize};
use tautline_hub::{Publish as NewPublication, PublishOptions};
use tautline_protocol::{
    ChannelName, Cursor, ErrorCode, TraceId,
    packet::{ErrorBody, server},
};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use crate::{
    idempotency::IdempotencyKey,
    lists::bounded,
    names::{Channel, Data, Position, Session, Tags, User},
    objects::{object, optional_object},
    problem::{Problem, ProblemBody},
    request::{Posted, SharedHost, ToPublish},
};

/// A publication to one channel.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish<'a> {
    channel: Channel,
    #[serde(borrow)]
    data: Data<'a>,
    #[serde(borrow)]
    tags: Option<Tags<'a>>,
    /// A session whose clients do not hand the publication to their app: that of the user who has caused it.
    exclude: Option<Session>,
    /// In place of the header `Idempotency-Key`.
    #[serde(borrow)]
    idempotency_key: Option<IdempotencyKey<'a>>,
    /// Publishes only behind this head of the log; otherwise the answer is `conflict` with the present `head`.
    #[serde(default, deserialize_with = "optional_object")]
    expect: Option<Position>,
}

/// A publication to the inbox of one user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Push<'a> {
    user: User,
    #[serde(borrow)]
    data: Data<'a>,
    #[serde(borrow)]
    tags: Option<Tags<'a>>,
    /// In place of the header `Idempotency-Key`.
    #[serde(borrow)]
    idempotency_key: Option<IdempotencyKey<'a>>,
    /// Publishes only behind this head of the log; otherwise the answer is `conflict` with the present `head`.
    #[serde(default, deserialize_with = "optional_object")]
    expect: Option<Position>,
}

/// One publication to many channels.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Broadcast<'a> {
    /// The channels.
    #[serde(deserialize_with = "bounded")]
    #[schema(min_items = 1, max_items = 1000)]
    channels: Vec<Channel>,
    #[serde(borrow)]
    data: Data<'a>,
    #[serde(borrow)]
    tags: Option<Tags<'a>>,
    /// In place of the header `Idempotency-Key`; it holds within each channel.
    #[serde(borrow)]
    idempotency_key: Option<IdempotencyKey<'a>>,
}

/// One publication to the inboxes of many users.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushMany<'a> {
    /// The users.
    #[serde(deserialize_with = "bounded")]
    #[schema(min_items = 1, max_items = 1000)]
    users: Vec<User>,
    #[serde(borrow)]
    data: Data<'a>,
    #[serde(borrow)]
    tags: Option<Tags<'a>>,
    /// In place of the header `Idempotency-Key`; it holds within each inbox.
    #[serde(borrow)]
    idempotency_key: Option<IdempotencyKey<'a>>,
}

/// Many publications.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch<'a> {
    /// In the order in which they are published.
    #[serde(borrow, deserialize_with = "bounded")]
    #[schema(min_items = 1, max_items = 1000)]
    entries: Vec<Entry<'a>>,
}

/// One publication of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Entry<'a> {
    /// To a channel.
    #[serde(borrow, deserialize_with = "object")]
    Publish(Publish<'a>),
    /// To an inbox.
    #[serde(borrow, deserialize_with = "object")]
    Push(Push<'a>),
}

/// Where a publication is in its log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Published {
    /// The epoch of the log.
    epoch: String,
    /// The publication's offset.
    offset: u64,
    /// When it was appended, in wall milliseconds.
    at: u64,
}

/// An answer for each channel, user or entry, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Results {
    results: Vec<Outcome>,
}

/// What came of one of many.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It is published.
    Ok(Published),
    /// It is not; the others may be.
    Error(Box<ProblemBody>),
}

/// Publishes to a channel
///
/// The answer comes when the engine has stored the publication. No rule of the channel limits it.
#[utoipa::path(post, path = "/api/v1/publish", tag = "publish", request_body = Publish,
    responses((status = 200, description = "It is in the log", body = Published)))]
pub(crate) async fn publish(request: Posted<ToPublish>) -> Result<Json<Published>, Problem> {
    let body: Publish<'_> = request.parse()?;
    request.charge(1)?;
    let key = key(&request, body.idempotency_key.as_ref())?;
    let expect = body.expect.map(Cursor::from);
    let expect = expect.as_ref();
    let options = PublishOptions { expect, trace: request.trace, ..options(body.tags.as_ref(), key) };
    let options = excluding(body.exclude.as_ref(), options);
    one(&request.host, &body.channel.0, &body.data, options).await
}

/// Publishes to a user's inbox
///
/// Whether or not the user is online: every device gets it, now or when it comes back.
#[utoipa::path(post, path = "/api/v1/push", tag = "publish", request_body = Push,
    responses((status = 200, description = "It is in the inbox", body = Published)))]
pub(crate) async fn push(request: Posted<ToPublish>) -> Result<Json<Published>, Problem> {
    let body: Push<'_> = request.parse()?;
    request.charge(1)?;
    let key = key(&request, body.idempotency_key.as_ref())?;
    let expect = body.expect.map(Cursor::from);
    let expect = expect.as_ref();
    let options = PublishOptions { expect, trace: request.trace, ..options(body.tags.as_ref(), key) };
    one(&request.host, &inbox_of(&body.user), &body.data, options).await
}

/// Publishes the same to many channels
///
/// Each channel has an answer of its own: some may be refused where others are stored.
#[utoipa::path(post, path = "/api/v1/broadcast", tag = "publish", request_body = Broadcast,
    responses((status = 200, description = "An answer for each channel", body = Results)))]
pub(crate) async fn broadcast(request: Posted<ToPublish>) -> Result<Json<Results>, Problem> {
    let body: Broadcast<'_> = request.parse()?;
    request.charge(body.channels.len())?;
    let key = key(&request, body.idempotency_key.as_ref())?;
    let options = PublishOptions { trace: request.trace, ..options(body.tags.as_ref(), key) };
    let data = body.data.0;
    let to = |channel: Channel| NewPublication { channel: channel.0, data, options };
    Ok(many(&request.host, &body.channels.into_iter().map(to).collect::<Vec<_>>()).await)
}

/// Publishes the same to the inboxes of many users
///
/// Each user has an answer of its own.
#[utoipa::path(post, path = "/api/v1/push/many", tag = "publish", request_body = PushMany,
    responses((status = 200, description = "An answer for each user", body = Results)))]
pub(crate) async fn push_many(request: Posted<ToPublish>) -> Result<Json<Results>, Problem> {
    let body: PushMany<'_> = request.parse()?;
    request.charge(body.users.len())?;
    let key = key(&request, body.idempotency_key.as_ref())?;
    let options = PublishOptions { trace: request.trace, ..options(body.tags.as_ref(), key) };
    let data = body.data.0;
    let to = |user: &User| NewPublication { channel: inbox_of(user), data, options };
    Ok(many(&request.host, &body.users.iter().map(to).collect::<Vec<_>>()).await)
}

/// Publishes many publications
///
/// They are stored in their order, and each has an answer of its own. Idempotency keys are members of the entries.
#[utoipa::path(post, path = "/api/v1/batch", tag = "publish", request_body = Batch,
    responses((status = 200, description = "An answer for each entry", body = Results)))]
pub(crate) async fn batch(request: Posted<ToPublish>) -> Result<Json<Results>, Problem> {
    if request.idempotency_key()?.is_some() {
        return Err(Problem::bad_request(
            "a batch takes no `Idempotency-Key`: give each entry its `idempotency_key`",
        ));
    }
    let body: Batch<'_> = request.parse()?;
    request.charge(body.entries.len())?;
    let heads: Vec<Option<Cursor>> =
        body.entries.iter().map(|entry| entry.expect().cloned().map(Cursor::from)).collect();
    let publications =
        body.entries.iter().zip(&heads).map(|(entry, head)| entry.publication(head.as_ref(), request.trace));
    Ok(many(&request.host, &publications.collect::<Vec<_>>()).await)
}

impl<'a> Entry<'a> {
    fn expect(&self) -> Option<&Position> {
        match self {
            Self::Publish(Publish { expect, .. }) | Self::Push(Push { expect, .. }) => expect.as_ref(),
        }
    }

    fn publication<'b>(&'b self, expect: Option<&'b Cursor>, trace: Option<TraceId>) -> NewPublication<'b>
    where
        'a: 'b,
    {
        let (channel, data, options) = match self {
            Self::Publish(it) => {
                let options = options(it.tags.as_ref(), text(it.idempotency_key.as_ref()));
                (it.channel.0.clone(), &it.data, excluding(it.exclude.as_ref(), options))
            }
            Self::Push(it) => {
                (inbox_of(&it.user), &it.data, options(it.tags.as_ref(), text(it.idempotency_key.as_ref())))
            }
        };
        NewPublication { channel, data: data.0, options: PublishOptions { expect, trace, ..options } }
    }
}

fn inbox_of(user: &User) -> ChannelName {
    ChannelName::of_user(&user.0).expect("ids of users are short enough for `user:` before them")
}

/// The idempotency key: of the body, else of the header.
fn key<'a>(
    request: &'a Posted<ToPublish>,
    in_body: Option<&'a IdempotencyKey<'a>>,
) -> Result<Option<&'a str>, Problem> {
    let in_header = request.idempotency_key()?;
    Ok(text(in_body).or(in_header))
}

fn text<'a>(key: Option<&'a IdempotencyKey<'a>>) -> Option<&'a str> {
    key.map(|key| &*key.0)
}

fn options<'a>(tags: Option<&Tags<'a>>, idempotency_key: Option<&'a str>) -> PublishOptions<'a> {
    PublishOptions { tags: tags.map(|tags| tags.0), idempotency_key, ..PublishOptions::default() }
}

fn excluding<'a>(session: Option<&'a Session>, options: PublishOptions<'a>) -> PublishOptions<'a> {
    PublishOptions { exclude: session.map(|session| session.0.as_str()), ..options }
}

async fn one(
    host: &SharedHost,
    channel: &ChannelName,
    data: &Data<'_>,
    options: PublishOptions<'_>,
) -> Result<Json<Published>, Problem> {
    let (done, result) = answer();
    host.hub().publish(host.now(), channel, data.0, options, done);
    Ok(Json(result.await?.into()))
}

async fn many(host: &SharedHost, publications: &[NewPublication<'_>]) -> Json<Results> {
    let (sender, receiver) = oneshot::channel();
    host.hub().publish_many(host.now(), publications, move |results| drop(sender.send(results)));
    let unanswered = |_| publications.iter().map(|_| Err(unanswered())).collect();
    let results = receiver.await.unwrap_or_else(unanswered);
    Json(Results { results: results.into_iter().map(Outcome::from).collect() })
}

/// A callback that takes a result, and a future that is ready when it did.
pub(crate) fn answer<T: Send + 'static>() -> (
    impl FnOnce(Result<T, ErrorBody>) + Send + use<T>,
    impl Future<Output = Result<T, ErrorBody>> + Send + use<T>,
) {
    let (sender, receiver) = oneshot::channel();
    (
        move |result| drop(sender.send(result)),
        async move { receiver.await.unwrap_or_else(|_| Err(unanswered())) },
    )
}

pub(crate) fn unanswered() -> ErrorBody {
    ErrorBody::new(ErrorCode::InDoubt, "the engine never answered")
}

impl From<Result<server::Published, ErrorBody>> for Outcome {
    fn from(result: Result<server::Published, ErrorBody>) -> Self {
        match result {
            Ok(published) => Self::Ok(published.into()),
            Err(error) => Self::Error(Box::new(Problem::from(error).into_body())),
        }
    }
}

impl From<server::Published> for Published {
    fn from(published: server::Published) -> Self {
        let server::Published { epoch, offset, at } = published;
        Self { epoch, offset, at }
    }
}
