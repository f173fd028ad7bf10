//! Scenarios for rdkafka: `integration SCENARIO` prints what it saw (see ../README.md).
//!
//! `client` is the little that the scenarios ask of the library; the other modules are the scenarios.

mod client;
mod exactly_once;
mod groups;
mod kit;
mod lifecycle;
mod new_protocol;
mod records;
mod transactions;

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
        "transactions" => transactions::transactions,
        "exactly-once" => exactly_once::exactly_once,
        "new-protocol" => new_protocol::new_protocol,
        // Processes of the two before.
        "worker" => exactly_once::worker,
        "crash-member" => new_protocol::crash_member,
        _ => {
            eprintln!("usage: integration SCENARIO");
            std::process::exit(2);
        }
    };
    run();
}
