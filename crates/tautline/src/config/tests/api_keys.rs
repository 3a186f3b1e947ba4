//! Keys of the HTTP API with scopes.

use tautline_gateway::Scope;

use super::*;

/// Which scopes a key opens; none for one that is not known.
fn opens(settings: &Settings, key: &str) -> Option<[bool; 3]> {
    let keys = settings.keys_of_api().expect("good keys");
    keys.scopes_of(key).map(|scopes| Scope::ALL.map(|scope| scopes.contain(scope)))
}

#[test]
fn key_opens_the_scopes_of_its_section() {
    // printf %s a-key-for-the-shop | sha256sum
    let text = format!(
        "[api]\nkeys = [\"{SECRET}\"]\n[[api.key]]\nname = \"reports\"\nkey = \"{OTHER_SECRET}\"\nscopes = [\"read\"]\n\
         [[api.key]]\nname = \"shop\"\nsha256 = \"{}\"\nscopes = [\"read\", \"publish\"]\n",
        "e2ba0b264cb551dadbebcd45682e8ab964e038d1c36988b425016c77e111a321"
    );
    let settings = settings_of(&text, &[], &Flags::default());
    assert_eq!(opens(&settings, SECRET), Some([true, true, true]));
    assert_eq!(opens(&settings, OTHER_SECRET), Some([true, false, false]));
    assert_eq!(opens(&settings, "a-key-for-the-shop"), Some([true, true, false]));
    assert_eq!(opens(&settings, "another-key-of-some"), None);
}

#[test]
fn faulty_key_section_is_refused_with_its_name() {
    let section = |rest: &str| error_of(&format!("[[api.key]]\nname = \"shop\"\n{rest}"));
    for (rest, words) in [
        ("scopes = [\"read\"]", "\"shop\" needs either `key` or `sha256`"),
        ("key = \"0123456789abcdef\"\nscopes = []", "\"shop\" opens nothing"),
        ("key = \"short\"\nscopes = [\"read\"]", "at least 16"),
        ("sha256 = \"abc\"\nscopes = [\"read\"]", "64 hexadecimal digits"),
        ("key = \"0123456789abcdef\"\nscopes = [\"write\"]", "unknown variant `write`"),
    ] {
        let error = section(rest);
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("0123456789abcdef"), "{error}");
    }
}

#[test]
fn key_of_a_section_is_hidden_and_compared() {
    let values = |key: &str| {
        let text = format!("[[api.key]]\nname = \"shop\"\nkey = \"{key}\"\nscopes = [\"read\"]\n");
        let Ok(loaded) = load(&text, &[], &Flags::default()) else { panic!("it is valid") };
        loaded.values
    };
    assert!(!values(SECRET).show().contains(SECRET));
    assert_eq!(values(SECRET).changed(&values(OTHER_SECRET)), ["api.key.0.key"]);
}
