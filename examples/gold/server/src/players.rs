//! Players: an id, and a token that proves it. No database: the token is a signature of the id.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tautline_gateway::{Auth, Identity, LoginRefused, LoginResult, UserId};

/// What a new player gets, and keeps on the device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewPlayer {
    /// The id, which everybody may see.
    pub player: String,
    /// The token, which logs in.
    pub token: String,
}

/// Makes tokens and checks them.
#[derive(Clone)]
pub(crate) struct Players([u8; 32]);

impl Players {
    /// `secret` is kept in the store, so that tokens stay good.
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    pub(crate) fn new_player(&self) -> Result<NewPlayer, getrandom::Error> {
        let mut id = [0; 8];
        getrandom::fill(&mut id)?;
        let player = format!("p{}", hex(&id));
        let token = format!("{player}.{}", hex(&self.mac(&player).finalize().into_bytes()));
        Ok(NewPlayer { player, token })
    }

    /// Whose login this is; `None` where it is none of the game's.
    pub(crate) fn login(&self, auth: &Auth) -> Option<LoginResult> {
        let Auth::Token { token } = auth else { return None };
        let refused = || LoginRefused::Unauthorized("this token is none of this server's".to_owned());
        Some(
            self.player(token)
                .ok_or_else(refused)
                .map(|user| Identity { user: Some(user), ..Identity::default() }),
        )
    }

    fn player(&self, token: &str) -> Option<UserId> {
        let (player, proof) = token.split_once('.')?;
        self.mac(player).verify_slice(&from_hex(proof)?).ok()?;
        UserId::parse(player).ok()
    }

    fn mac(&self, player: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.chain_update(player)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_of_another_player_or_server_is_refused() {
        let players = Players::new([7; 32]);
        let [ann, bo] = [0, 1].map(|_| players.new_player().unwrap());
        assert_eq!(players.player(&ann.token).map(|user| user.to_string()), Some(ann.player.clone()));
        let proof = ann.token.split_once('.').unwrap().1;
        assert_eq!(players.player(&format!("{}.{proof}", bo.player)), None);
        assert_eq!(Players::new([8; 32]).player(&ann.token), None);
        for broken in ["", ".", "p.", "p.0", "p.é", &ann.token[..ann.token.len() - 1]] {
            assert_eq!(players.player(broken), None, "{broken:?}");
        }
    }
}
