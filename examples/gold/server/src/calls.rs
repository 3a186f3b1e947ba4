//! What players call: `gold.open`, `gold.join`, `gold.start`, `gold.dig`, `gold.leave`, `gold.view`. All may be repeated.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tautline_gateway::{Call, CallError, GatewayBuilder};
use tautline_gold_rules::{Input, Settings, View};

use crate::rooms::Rooms;

/// The payload of `gold.open`.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenRoom {
    /// The name of the player, who takes the first seat.
    pub name: String,
    /// The field and the seats.
    #[serde(default)]
    pub settings: Settings,
}

/// The payload of `gold.join`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Join {
    /// The room.
    pub room: String,
    /// The player's name.
    pub name: String,
}

/// The payload of `gold.start`, `gold.leave` and `gold.view`.
#[derive(Debug, Serialize, Deserialize)]
pub struct InRoom {
    /// The room.
    pub room: String,
}

/// The payload of `gold.dig`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Dig {
    /// The room.
    pub room: String,
    /// The number of the turn that the player sees as the player's own.
    pub turn: u32,
    /// Where.
    pub cell: u16,
}

/// The answer of `gold.open` and `gold.join`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Joined {
    /// The room, whose channel is `gold:<room>`.
    pub room: String,
    /// What there is to see.
    pub view: View,
}

/// The answer of `gold.start`, `gold.dig` and `gold.leave`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moved {
    /// The number of the last event, which comes by the channel.
    pub n: u64,
}

/// The rooms, which need the gateway, which is built of the calls.
pub(crate) type RoomsLater = Arc<OnceLock<Rooms>>;

/// Adds the methods.
pub(crate) fn add(builder: GatewayBuilder, later: &RoomsLater) -> GatewayBuilder {
    let rooms = |later: &RoomsLater| {
        let later = Arc::clone(later);
        move || later.get().cloned().ok_or_else(|| CallError::new("unavailable", "the game is starting"))
    };
    let (open, join, start) = (rooms(later), rooms(later), rooms(later));
    let (dig, leave, view) = (rooms(later), rooms(later), rooms(later));
    builder
        .call_json_idempotent("gold.open", move |call, open_room: OpenRoom| {
            let rooms = open();
            async move {
                let (rooms, room, player) = (rooms?, name_of(&call), player(&call)?);
                rooms.open_room(&room, &player, open_room.settings).await?;
                joined(&rooms, player, Join { room, name: open_room.name }).await
            }
        })
        .call_json_idempotent("gold.join", move |call, payload: Join| {
            let rooms = join();
            async move { joined(&rooms?, player(&call)?, payload).await }
        })
        .call_json_idempotent("gold.start", move |call, InRoom { room }| {
            let rooms = start();
            async move { moved(rooms?.apply(&room, Input::Start { player: player(&call)? }).await) }
        })
        .call_json_idempotent("gold.dig", move |call, Dig { room, turn, cell }| {
            let rooms = dig();
            async move { moved(rooms?.apply(&room, Input::Dig { player: player(&call)?, turn, cell }).await) }
        })
        .call_json_idempotent("gold.leave", move |call, InRoom { room }| {
            let rooms = leave();
            async move { moved(rooms?.apply(&room, Input::Leave { player: player(&call)? }).await) }
        })
        .call_json_idempotent("gold.view", move |_, InRoom { room }| {
            let rooms = view();
            async move { rooms?.view(&room).await }
        })
}

async fn joined(rooms: &Rooms, player: String, Join { room, name }: Join) -> Result<Joined, CallError> {
    rooms.apply(&room, Input::Join { player, name }).await?;
    let view = rooms.view(&room).await?;
    Ok(Joined { room, view })
}

fn moved(result: Result<u64, CallError>) -> Result<Moved, CallError> {
    result.map(|n| Moved { n })
}

/// No guest plays.
fn player(call: &Call) -> Result<String, CallError> {
    let user = call.user.as_ref().ok_or_else(|| CallError::new("permission_denied", "log in to play"))?;
    Ok(user.to_string())
}

/// The name of a new room. The same call repeated opens the same room.
fn name_of(call: &Call) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let digest = Sha256::digest(call.key.to_string());
    digest.iter().take(8).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
