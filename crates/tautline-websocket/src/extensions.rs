//! The `Sec-WebSocket-Extensions` header, RFC 6455 section 9.1, and what is offered under the name of permessage-deflate,
//! RFC 7692 section 7.1. Start at [`accept`].

use std::borrow::Cow;

use crate::{Deflate, deflate::WINDOW_BITS_MAX, handshake::is_token};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";

/// One of the extensions in a header.
#[derive(Debug, PartialEq, Eq)]
struct Offer<'h> {
    name: &'h str,
    params: Vec<(&'h str, Option<Cow<'h, str>>)>,
}

/// The first offer of `header` that we can keep: what was agreed on, and the answer to it.
pub(crate) fn accept(header: &str) -> Option<(Deflate, String)> {
    offers(header)?.iter().find_map(accept_offer)
}

/// What comes is inflated with the largest window whatever the client uses, so that its window is nothing to agree on.
fn accept_offer(offer: &Offer<'_>) -> Option<(Deflate, String)> {
    if !offer.name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut deflate = Deflate::LARGEST_WINDOW;
    let mut answer = format!("{NAME}; {SERVER_NO_CONTEXT}; {CLIENT_NO_CONTEXT}");
    for (index, (name, value)) in offer.params.iter().enumerate() {
        let is_repeated = offer.params[..index].iter().any(|(earlier, _)| earlier == name);
        match (*name, value.as_deref()) {
            _ if is_repeated => return None,
            (SERVER_NO_CONTEXT | CLIENT_NO_CONTEXT | CLIENT_WINDOW, None) => {}
            (CLIENT_WINDOW, Some(bits)) => drop(window_bits(bits)?),
            (SERVER_WINDOW, Some(bits)) => {
                deflate = Deflate::with_window(window_bits(bits)?)?;
                answer.extend(["; ", SERVER_WINDOW, "=", bits]);
            }
            _ => return None,
        }
    }
    Some((deflate, answer))
}

/// A number from 8 to 15, as short as it can be written.
fn window_bits(text: &str) -> Option<u8> {
    let is_plain = !text.starts_with(['0', '+']);
    text.parse().ok().filter(|bits| is_plain && (8..=WINDOW_BITS_MAX).contains(bits))
}

/// All that a header offers; none, where it is not what the RFC calls an extension list.
fn offers(header: &str) -> Option<Vec<Offer<'_>>> {
    let mut rest = header;
    let mut offers = Vec::new();
    loop {
        let mut offer = Offer { name: take_token(&mut rest)?, params: Vec::new() };
        while take(&mut rest, ';') {
            let name = take_token(&mut rest)?;
            let value = if take(&mut rest, '=') { Some(take_value(&mut rest)?) } else { None };
            offer.params.push((name, value));
        }
        offers.push(offer);
        if !take(&mut rest, ',') {
            return rest.is_empty().then_some(offers);
        }
    }
}

fn take(rest: &mut &str, wanted: char) -> bool {
    skip_space(rest);
    let after = rest.strip_prefix(wanted);
    *rest = after.unwrap_or(rest);
    skip_space(rest);
    after.is_some()
}

fn take_token<'h>(rest: &mut &'h str) -> Option<&'h str> {
    skip_space(rest);
    let end = rest.find([' ', '\t', ';', ',', '=']).unwrap_or(rest.len());
    let (token, after) = rest.split_at(end);
    *rest = after;
    is_token(token).then_some(token)
}

/// A token, as it is or between quotes.
fn take_value<'h>(rest: &mut &'h str) -> Option<Cow<'h, str>> {
    let Some(quoted) = rest.strip_prefix('"') else { return take_token(rest).map(Cow::Borrowed) };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, char)) = chars.next() {
        match char {
            '"' => {
                *rest = &quoted[index + 1..];
                // Whatever the quotes are for, what is between them is a token (RFC 6455 section 9.1).
                return is_token(&value).then_some(Cow::Owned(value));
            }
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

fn skip_space(rest: &mut &str) {
    *rest = rest.trim_start_matches([' ', '\t']);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(header: &str) -> Option<String> {
        accept(header).map(|(_, answer)| answer)
    }

    #[test]
    fn what_browsers_offer_is_taken_without_any_context() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "Permessage-Deflate;client_max_window_bits=10 ; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"1\\5\"; client_no_context_takeover",
            "x-webkit-deflate-frame, bbf-usp-protocol; a=b, permessage-deflate",
        ] {
            assert_eq!(answer(offer).as_deref(), Some(ANSWER), "{offer}");
        }
    }

    #[test]
    fn a_window_that_we_have_is_named_in_the_answer() {
        for bits in 9..=15 {
            let (deflate, answer) =
                accept(&format!("permessage-deflate; server_max_window_bits={bits}")).unwrap();
            assert_eq!(Some(deflate), Deflate::with_window(bits));
            assert_eq!(answer, format!("{ANSWER}; server_max_window_bits={bits}"));
        }
    }

    #[test]
    fn the_first_offer_that_we_can_keep_is_taken() {
        let offers = "permessage-deflate; server_max_window_bits=8, permessage-deflate; new_thing, \
                      permessage-deflate; server_max_window_bits=\"10\", permessage-deflate";
        assert_eq!(answer(offers), Some(format!("{ANSWER}; server_max_window_bits=10")));
        assert_eq!(Deflate::accept(["foo", "", "permessage-deflate"]).unwrap().1, ANSWER);
        assert_eq!(Deflate::accept(["foo"; 0]), None);
    }

    #[test]
    fn an_offer_that_breaks_the_rfc_is_declined() {
        for params in [
            "server_max_window_bits",
            "server_max_window_bits=16",
            "server_max_window_bits=7",
            "server_max_window_bits=010",
            "server_max_window_bits=+9",
            "server_max_window_bits=",
            "client_max_window_bits=16",
            "server_no_context_takeover=true",
            "client_no_context_takeover; client_no_context_takeover",
            "SERVER_no_context_takeover",
            "",
        ] {
            assert_eq!(answer(&format!("permessage-deflate; {params}")), None, "{params}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_offers_nothing() {
        for header in [
            "",
            ",",
            "permessage-deflate,",
            "permessage-deflate client_max_window_bits",
            "permessage-deflate; client_max_window_bits=\"15",
            "permessage-deflate; client_max_window_bits=\"1 5\"",
            "permessage-deflate; client_max_window_bits=\"15\"x",
            "permessage-deflate; a=\"\\",
            "permessage-deflate é",
            "per(message)-deflate",
        ] {
            assert_eq!(answer(header), None, "{header:?}");
        }
    }
}
