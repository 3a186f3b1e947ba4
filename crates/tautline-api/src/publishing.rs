//! Operations that publish.

use std::borrow::Cow;

use axum::Json;
use serde::{Deserialize, Serialize};
use tautline_hub::PublishOptions;
use tautline_protocol::{ChannelName, ErrorCode, packet::ErrorBody, packet::server};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use crate::{
    ENTRIES_MAX,
    gather::{Slot, gather},
    idempotency::IdempotencyKey,
    lists::bounded,
    names::{Channel, Data, Session, Tags, User},
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
    #[serde(borrow)]
    Publish(Publish<'a>),
    /// To an inbox.
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
    let key = key(&request, body.idempotency_key.as_ref())?;
    let options = excluding(body.exclude.as_ref(), options(body.tags.as_ref(), key));
    one(&request.host, &body.channel.0, &body.data, options).await
}

/// Publishes to a user's inbox
///
/// Whether or not the user is online: every device gets it, now or when it comes back.
#[utoipa::path(post, path = "/api/v1/push", tag = "publish", request_body = Push,
    responses((status = 200, description = "It is in the inbox", body = Published)))]
pub(crate) async fn push(request: Posted<ToPublish>) -> Result<Json<Published>, Problem> {
    let body: Push<'_> = request.parse()?;
    let key = key(&request, body.idempotency_key.as_ref())?;
    one(&request.host, &inbox_of(&body.user), &body.data, options(body.tags.as_ref(), key)).await
}

/// Publishes the same to many channels
///
/// Each channel has an answer of its own: some may be refused where others are stored.
#[utoipa::path(post, path = "/api/v1/broadcast", tag = "publish", request_body = Broadcast,
    responses((status = 200, description = "An answer for each channel", body = Results)))]
pub(crate) async fn broadcast(request: Posted<ToPublish>) -> Result<Json<Results>, Problem> {
    let body: Broadcast<'_> = request.parse()?;
    let key = key(&request, body.idempotency_key.as_ref())?;
    let channels = body.channels.iter().map(|channel| Cow::Borrowed(&channel.0));
    let options = options(body.tags.as_ref(), key);
    Ok(many(&request.host, channels.map(|channel| (channel, &body.data, options))).await)
}

/// Publishes the same to the inboxes of many users
///
/// Each user has an answer of its own.
#[utoipa::path(post, path = "/api/v1/push/many", tag = "publish", request_body = PushMany,
    responses((status = 200, description = "An answer for each user", body = Results)))]
pub(crate) async fn push_many(request: Posted<ToPublish>) -> Result<Json<Results>, Problem> {
    let body: PushMany<'_> = request.parse()?;
    let key = key(&request, body.idempotency_key.as_ref())?;
    let options = options(body.tags.as_ref(), key);
    let inboxes = body.users.iter().map(|user| Cow::Owned(inbox_of(user)));
    Ok(many(&request.host, inboxes.map(|inbox| (inbox, &body.data, options))).await)
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
    let entries = body.entries.iter().map(|entry| match entry {
        Entry::Publish(Publish { channel, data, tags, exclude, idempotency_key }) => {
            let options = options(tags.as_ref(), text(idempotency_key.as_ref()));
            (Cow::Borrowed(&channel.0), data, excluding(exclude.as_ref(), options))
        }
        Entry::Push(Push { user, data, tags, idempotency_key }) => {
            (Cow::Owned(inbox_of(user)), data, options(tags.as_ref(), text(idempotency_key.as_ref())))
        }
    });
    Ok(many(&request.host, entries).await)
}

fn inbox_of(user: &User) -> ChannelName {
    ChannelName::of_user(&user.0).expect("ids of users are short enough for `user:` before them")
}

/// The idempotency key, which is given in one place.
fn key<'a>(
    request: &'a Posted<ToPublish>,
    in_body: Option<&'a IdempotencyKey<'a>>,
) -> Result<Option<&'a str>, Problem> {
    match (request.idempotency_key()?, text(in_body)) {
        (Some(_), Some(_)) => {
            let words = "the idempotency key is given twice, in the header and in the body";
            Err(Problem::bad_request(words).at("/idempotency_key".to_owned()))
        }
        (in_header, in_body) => Ok(in_header.or(in_body)),
    }
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
    let (sender, receiver) = oneshot::channel();
    let done = move |result| drop(sender.send(result));
    host.hub().publish(host.now(), channel, data.0, options, done);
    let result = receiver.await.unwrap_or_else(|_| Err(unanswered()));
    Ok(Json(result?.into()))
}

async fn many<'a>(
    host: &SharedHost,
    publications: impl ExactSizeIterator<Item = (Cow<'a, ChannelName>, &'a Data<'a>, PublishOptions<'a>)>,
) -> Json<Results> {
    debug_assert!(publications.len() <= ENTRIES_MAX, "`bounded` is in front of it");
    let (slots, answers) = gather(publications.len());
    let now = host.now();
    for ((channel, data, options), slot) in publications.zip(slots) {
        host.hub().publish(now, &channel, data.0, options, move |result| Slot::fill(slot, result));
    }
    let outcome = |answer: Option<Result<server::Published, ErrorBody>>| match answer
        .unwrap_or_else(|| Err(unanswered()))
    {
        Ok(published) => Outcome::Ok(published.into()),
        Err(error) => Outcome::Error(Box::new(Problem::from(error).into_body())),
    };
    Json(Results { results: answers.await.into_iter().map(outcome).collect() })
}

pub(crate) fn unanswered() -> ErrorBody {
    ErrorBody::new(ErrorCode::InDoubt, "the engine never answered")
}

impl From<server::Published> for Published {
    fn from(published: server::Published) -> Self {
        let server::Published { epoch, offset, at } = published;
        Self { epoch, offset, at }
    }
}
