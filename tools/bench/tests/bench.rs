//! `tautline-bench`: every scenario in small against a real server process. No figure is judged: that something was lost,
//! doubled or reordered is an error of the command itself.

use std::{
    net::TcpListener,
    process::{Command, Output},
    thread,
};

use serde_json::Value;
use tungstenite::Message;

fn bench(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tautline-bench"));
    command.args(arguments.split(' ')).env_remove("TAUTLINE_TOKEN").env_remove("RUST_LOG");
    command.output().expect("the binary was built")
}

/// Runs a scenario, and returns one of its figures.
fn figure(arguments: &str, name: &str) -> f64 {
    let output = bench(&format!("{arguments} --seconds 0.3 --settle 100ms --json"));
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON is on stdout");
    let figures = report["figures"].as_array().expect("figures are a list");
    let wanted = figures.iter().find(|figure| figure["name"] == name);
    wanted.and_then(|figure| figure["median"].as_f64()).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

#[test]
fn everybody_gets_every_publication() {
    assert!(figure("fanout --connections 20", "deliveries_per_s") > 0.0);
    assert!(figure("fanout --connections 20 --rate 50 --runs 2", "server_cpu_s_per_1m_deliveries") > 0.0);
    assert!(figure("fanout --connections 20 --bystanders 3", "bystander_max_ms") > 0.0);
    assert!(figure("channels --connections 20 --channels 5", "deliveries_per_s") > 0.0);
}

#[test]
fn every_question_has_its_answer() {
    assert!(figure("echo --connections 5 --in-flight 4", "answers_per_s") > 0.0);
    assert!(figure("publish --connections 5 --rate 200", "latency_p99_ms") > 0.0);
}

#[test]
fn hook_takes_calls_to_its_back_end() {
    assert!(figure("hooks --connections 5 --in-flight 2", "share_of_back_end") > 0.0);
}

#[test]
fn every_publication_through_the_api_is_stored() {
    assert!(figure("api --connections 4", "publications_per_s") > 0.0);
    assert!(figure("api --connections 4 --batch 100", "server_cpu_s_per_1m_publications") > 0.0);
}

#[test]
fn idle_reports_memory_around_a_burst() {
    assert!(figure("idle --connections 20 --channels 2", "resident_mib_in_all") > 0.0);
}

#[test]
fn tls_load_loses_nothing() {
    assert!(figure("idle --tls --connections 20 --channels 2", "resident_mib_in_all") > 0.0);
    assert!(figure("fanout --tls --connections 20", "deliveries_per_s") > 0.0);
}

#[test]
fn storm_resumes_to_missed_publications() {
    assert!(figure("storm --connections 20 --channels 3 --behind 4 --away 50ms", "all_online_s") > 0.0);
}

#[test]
fn stalled_reader_gets_everything_or_a_gap() {
    assert!(figure("slow --connections 5 --stalled 5", "publications_each_when_woken") > 0.0);
}

/// A server in the protocol `ws` that says again what it is told, so many times. Returns where it is.
fn echoes(times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(stream) else { return };
                let mut sent = socket.send(Message::text("ready"));
                while let (Ok(()), Ok(message @ Message::Text(_))) = (sent, socket.read()) {
                    sent = (0..times).try_for_each(|_| socket.send(message.clone()));
                }
            });
        }
    });
    format!("ws://{address}/")
}

#[test]
fn doubled_answer_of_another_server_fails() {
    let url = echoes(1);
    assert!(figure(&format!("echo --connections 3 --protocol ws --url {url}"), "answers_per_s") > 0.0);
    let output = bench(&format!("echo --connections 3 --protocol ws --url {} --seconds 0.3", echoes(2)));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("which nobody waits for"), "{message}");
}

#[test]
fn storm_is_refused_for_other_protocols() {
    let output = bench("storm --protocol nats --url ws://127.0.0.1:1/");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("another protocol has idle, fanout and echo"), "{message}");
}

#[test]
fn remote_host_is_not_loaded_by_accident() {
    // 192.0.2.0/24 is for documentation: nobody is there.
    let output = bench("fanout --url ws://192.0.2.1:8000/connect");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("not on this machine") && message.contains("--i-own-this-host"), "{message}");
    let output = bench("serve --listen 0.0.0.0:0");
    assert_eq!(output.status.code(), Some(1));
}
