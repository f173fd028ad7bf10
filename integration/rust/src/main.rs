//! Scenarios for rdkafka: `integration SCENARIO` prints what it saw (see ../README.md).
//!
//! `client` is the little that the scenarios ask of the library; `records`, `groups` and `lifecycle` are the scenarios.

mod client;
mod groups;
mod kit;
mod lifecycle;
mod records;

fn main() {
    let scenario = std::env::args().nth(1).unwrap_or_default();
    let run: fn() = match scenario.as_str() {
        "codecs" => records::codecs,
        "keys" => records::keys,
        "headers" => records::headers,
        "nulls" => records::nulls,
        "timestamps" => records::timestamps,
        "batches" => records::batches,
        "sizes" => records::sizes,
        "seek" => records::seek,
        "idempotence" => records::idempotence,
        "groups" => groups::groups,
        "cooperative" => groups::cooperative,
        "static" => groups::static_members,
        "commit" => groups::commit,
        "reset" => groups::reset,
        "pause" => groups::pause,
        "regex" => groups::regex,
        "topics" => lifecycle::topics,
        "admin" => lifecycle::admin,
        "restart" => lifecycle::restart,
        _ => {
            eprintln!("usage: integration SCENARIO");
            std::process::exit(2);
        }
    };
    run();
}
