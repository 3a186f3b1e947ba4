//! The requests of docs/guide/server-api.md do what the guide says, each in its own language.

use std::{path::Path, process::Command};

use super::*;

const GUIDE: &str = include_str!("../../../../docs/guide/server-api.md");
const KEY: &str = "a-key-of-the-guide";

/// The blocks of the guide in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let blocks = GUIDE.split(&*fence).skip(1);
    blocks.map(|rest| rest.split_once("\n```").expect("a block ends").0).collect()
}

fn server(name: &str) -> Server {
    let file = config_file(name, &format!("[api]\nkeys = [\"{KEY}\"]\n"));
    Server::start(&["--config", file.to_str().expect("UTF-8")], &[])
}

/// Runs a program against a server. `None`: it is not on this machine.
fn run(server: &Server, program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).env("URL", format!("http://{}", server.address())).env("KEY", KEY);
    let output = match command.output() {
        Ok(output) => output,
        Err(_) => {
            writeln!(std::io::stdout(), "\nskipped: {program} is not installed: its part of the guide")
                .expect("stdout is open");
            return None;
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if program == "php" && text(&output.stderr).contains("undefined function curl_init") {
        writeln!(std::io::stdout(), "\nskipped: php has no curl: its part of the guide")
            .expect("stdout is open");
        return None;
    }
    assert!(output.status.success(), "{program}: {}", text(&output.stderr));
    Some(text(&output.stdout))
}

/// Writes the only block of a language into a file and runs it: it publishes to `room:7`, and prints an offset.
fn publishes_once(language: &str, file: &str, program: &str, before: &[&str]) {
    let found = blocks(language);
    let [block] = found[..] else { panic!("{language}: {} blocks", found.len()) };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guide-{language}"));
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(file);
    fs::write(&path, block).expect("the folder can be written");
    let server = server(&format!("guide-{language}"));
    let arguments = [before, &[path.to_str().expect("UTF-8")]].concat();
    if let Some(said) = run(&server, program, &arguments) {
        assert!(said.trim() == "1" || said.contains("\"offset\":1"), "{said}");
    }
}

#[test]
fn curl_of_the_guide_publishes_and_sends_a_batch() {
    let server = server("guide-curl");
    let said: Vec<_> = blocks("sh").iter().filter_map(|block| run(&server, "sh", &["-c", block])).collect();
    let [publish, batch] = &said[..] else { panic!("{said:?}") };
    assert!(publish.contains("\"offset\":1"), "{publish}");
    assert_eq!(batch.matches("\"ok\"").count(), 2, "{batch}");
}

#[test]
fn node_of_the_guide_publishes() {
    publishes_once("js", "publish.mjs", "node", &[]);
}

#[test]
fn python_of_the_guide_publishes() {
    publishes_once("python", "publish.py", "python3", &[]);
}

#[test]
fn php_of_the_guide_publishes() {
    publishes_once("php", "publish.php", "php", &[]);
}

#[test]
fn java_of_the_guide_publishes() {
    publishes_once("java", "Publish.java", "java", &[]);
}

#[test]
fn go_of_the_guide_publishes() {
    publishes_once("go", "main.go", "go", &["run"]);
}

#[test]
fn section_of_the_guide_is_a_configuration() {
    let [section] = blocks("toml")[..] else { panic!("one block") };
    fs::write(config_file("reports", "").with_file_name("reports.key"), KEY).expect("it can be written");
    let file = config_file("guide-section", section);
    let server = Server::start(&["--config", file.to_str().expect("UTF-8")], &[]);
    let request = "curl -s -o /dev/null -w '%{http_code}' -H \"Authorization: Bearer $KEY\" \"$URL/api/v1";
    for (path, status) in [("/stats\"", "200"), ("/publish\" -d '{}'", "403"), ("/kick\" -d '{}'", "403")] {
        if let Some(said) = run(&server, "sh", &["-c", &format!("{request}{path}")]) {
            assert_eq!(said, status, "{path}");
        }
    }
}

#[test]
fn server_client_repeats_lost_answers_and_publishes_once() {
    let server = server("server-client");
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../server-client/test.js");
    if let Some(said) = run(&server, "node", &[test.to_str().expect("UTF-8")]) {
        assert_eq!(said.trim(), "passed");
    }
}
