//! Secrets that are kept in other files and variables.

use std::fs;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tautline-secrets-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn load(&self, text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let environment = Environment::of(variables.iter().copied());
        Loaded::of(Some(&self.0.join("tautline.toml")), text, &Flags::default(), &environment)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it was there");
    }
}

#[test]
fn secret_in_a_file_begins_beside_the_configuration() {
    let folder = Folder::new("file");
    fs::write(folder.0.join("token"), format!("{SECRET}\n")).unwrap();
    fs::write(folder.0.join("api"), format!("{OTHER_SECRET}\r\n")).unwrap();
    let text = "[auth]\nhs256_secret = \"file:token\"\n[api]\nkeys = [\"file:./api\", \"env:OLD_KEY\"]";
    let loaded = folder.load(text, &[("OLD_KEY", "0123456789abcdef")]).ok().unwrap();
    assert_eq!(loaded.settings.hs256_secret, Some(Secret::new(SECRET)));
    assert_eq!(loaded.settings.api_keys, [Secret::new(OTHER_SECRET), Secret::new("0123456789abcdef")]);
    let names: Vec<_> = loaded.files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["tautline.toml", "api", "token"]);
    assert!(!loaded.settings.secrets_in.iter().any(|file| file.ends_with("tautline.toml")));
}

#[test]
fn secret_of_a_variable_may_be_in_a_file() {
    let folder = Folder::new("variable");
    let path = folder.0.join("token");
    fs::write(&path, SECRET).unwrap();
    let loaded = folder.load("", &[(AUTH_SECRET, &format!("file:{}", path.display()))]).ok().unwrap();
    assert_eq!(loaded.settings.hs256_secret, Some(Secret::new(SECRET)));
}

#[test]
fn secret_that_cannot_be_read_points_at_its_line() {
    let folder = Folder::new("faults");
    fs::write(folder.0.join("empty"), "\n").unwrap();
    fs::write(folder.0.join("short"), "hunter2").unwrap();
    fs::write(folder.0.join("huge"), vec![b'a'; 300 * 1024]).unwrap();
    for (reference, words) in [
        ("file:absent", "No such file"),
        ("file:empty", "is empty"),
        ("file:huge", "more than 262144 bytes"),
        ("file:short", "at least 32"),
        ("env:ABSENT", "environment variable ABSENT is not set"),
    ] {
        let text = format!("[auth]\nhs256_secret = \"{reference}\"");
        let error = folder.load(&text, &[]).err().expect(reference).to_string();
        assert!(error.contains("tautline.toml:2:16: ") && error.contains(words), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn secret_that_others_can_read_is_a_finding() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new("mode");
    let path = folder.0.join("token");
    fs::write(&path, SECRET).unwrap();
    let findings = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = folder.load("[auth]\nhs256_secret = \"file:token\"", &[]).ok().unwrap();
        loaded.settings.findings(&Environment::default())
    };
    assert_eq!(findings(0o600), [""; 0]);
    assert!(findings(0o644)[0].contains("chmod 600"), "{:?}", findings(0o644));
}

#[test]
fn reference_counts_only_where_a_secret_stands() {
    let error = error_of("[server]\nnode = \"env:HOME\"");
    assert!(error.contains("is no node name"), "{error}");
}

#[test]
fn parameters_and_headers_of_a_login_are_secrets() {
    let folder = Folder::new("login");
    fs::write(folder.0.join("signing"), SECRET).unwrap();
    let login = "[[login]]\nprovider = \"jd\"\nkind = \"generic\"\nurl = \"https://login.example\"\napp_id = \"a\"\n\
                 app_secret = \"hunter2-app\"\n[login.generic.parameters]\nsign = \"file:signing\"\n\
                 [login.generic.headers]\nauthorization = \"Bearer hunter2\"\n";
    let loaded = folder.load(login, &[]).map_err(|error| error.to_string()).unwrap();
    let generic = loaded.settings.logins[0].generic.as_ref().expect("options");
    assert_eq!(generic.parameters["sign"].expose(), SECRET);
    assert_eq!(generic.headers["authorization"].expose(), "Bearer hunter2");
    let shown = loaded.values.show();
    assert!(!shown.contains(SECRET) && !shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("generic.parameters.sign = \"…\""), "{shown}");
}

#[test]
fn secrets_of_lists_are_hidden_in_show() {
    let keys = "[auth]\nhs256_secret = \"KEY\"\n[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"KEY\"\n[tickets]\nkeys = [\"TICKET\"]\n";
    let ticket = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    let text = keys.replace("KEY", SECRET).replace("TICKET", ticket);
    let shown = load(&text, &[], &Flags::default()).map_err(|error| error.to_string()).unwrap().values.show();
    assert!(!shown.contains(SECRET) && !shown.contains(ticket), "{shown}");
    for option in ["hs256_secret = ", "keys.0.secret = ", "keys = "] {
        assert!(shown.contains(&format!("\n{option}\"…\"")), "{shown}");
    }
}

#[test]
fn secret_of_a_wrong_shape_is_not_repeated() {
    const SECRET: &str = "SuPerSecretXyZZy0123456789abcdef";
    let shapes = [
        "auth = \"S\"",
        "api = [\"S\"]",
        "[auth]\nhs256_secret = [\"S\"]",
        "[auth]\nkeys = [\"S\"]",
        "[auth]\nkeys = \"S\"",
        "[api]\nkey = \"S\"",
        "[api]\nkey = [\"S\"]",
        "[api]\nkeys = \"S\"",
        "[api]\nkeys = [{k = \"S\"}]",
        "[tickets]\nkeys = \"S\"",
        "[redis]\npassword = [\"S\"]",
        "hooks = \"S\"",
        "[[hooks]]\non = \"call\"\nheaders = \"authorization: S\"",
        "[[hooks]]\non = \"call\"\nheaders = [\"S\"]",
        "[[hooks]]\non = \"call\"\nheaders = {authorization = [\"S\"]}",
        "[[webhooks]]\nname = \"a\"\nsecrets = \"S\"",
        "[[webhooks]]\nname = \"a\"\nsecrets = {a = \"S\"}",
        "[[login]]\nprovider = \"wechat\"\napp_secret = [\"S\"]",
        "[[login]]\nprovider = \"a\"\n[login.generic]\nparameters = \"S\"",
        "[[login]]\nprovider = \"a\"\n[login.generic.token]\nheaders = {a = {b = \"S\"}}",
    ];
    for shape in shapes {
        let error = error_of(&shape.replace('S', SECRET));
        assert!(!error.contains("XyZZy") && error.contains("expected a "), "{shape}: {error}");
    }
    let error = error_of("[api]\nkeys = [987654321987654321]");
    assert!(!error.contains("98765") && error.contains("a text in quotes"), "{error}");
}
