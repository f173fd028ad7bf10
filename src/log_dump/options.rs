//! The arguments of `ottla log dump`: those of Kafka's dump-log, and plain paths.

use std::fmt;
use std::path::PathBuf;

use super::decoders::{Decoder, Plain};

pub const HELP: &str = "\
Shows what the files of a log hold, as Kafka's dump-log does

  ottla log dump [options] PATH...
    PATH                    a .log, .index, .timeindex, .txnindex, .snapshot or .checkpoint file, or the directory of a
                            partition: all of these in it; records of internal topics are decoded
    --files FILE,FILE...    the files, as Kafka's tool is told them
    --deep-iteration        each record, not only each batch
    --print-data-log        keys and values, too
    --key-decoder-class CLASS, --value-decoder-class CLASS
                            how to read them: org.apache.kafka.tools.api.StringDecoder (as when nothing is said),
                            IntegerDecoder or LongDecoder
    --offsets-decoder, --transaction-log-decoder, --share-group-state-decoder, --cluster-metadata-decoder
                            reads records of __consumer_offsets, __transaction_state, __share_group_state or
                            __cluster_metadata
    --skip-record-metadata  only keys and values of records
    --max-bytes N           so much of each .log file at most
    --index-sanity-check    only whether an index is one
    --verify-index-only     compares indexes with the log and does not show them
    --max-message-size N    the largest batch that an index may point at (5242880)

Exit code 1 when a file cannot be read to its end; what does not fit together is told on standard error.
";

/// What to show, and of which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub targets: Vec<PathBuf>,
    pub deep_iteration: bool,
    pub print_data_log: bool,
    pub skip_record_metadata: bool,
    pub index_sanity_check: bool,
    pub verify_index_only: bool,
    pub max_message_size: i32,
    pub max_bytes: i32,
    /// `None`: what suits the directory that a file is in.
    pub decoder: Option<Decoder>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsError(pub String);

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The options by name; their beginning is enough where only one begins so.
const NAMES: &[&str] = &[
    "--files",
    "--deep-iteration",
    "--print-data-log",
    "--key-decoder-class",
    "--value-decoder-class",
    "--offsets-decoder",
    "--transaction-log-decoder",
    "--share-group-state-decoder",
    "--cluster-metadata-decoder",
    "--remote-log-metadata-decoder",
    "--skip-record-metadata",
    "--max-bytes",
    "--index-sanity-check",
    "--verify-index-only",
    "--max-message-size",
];

const DEFAULT_MAX_MESSAGE_BYTES: i32 = 5 * 1024 * 1024;

impl Options {
    /// Reads the arguments behind `ottla log dump`.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Options, OptionsError> {
        let mut options = Options::of_nothing();
        let (mut plain, mut files) = (Vec::new(), Vec::new());
        let mut decoders = (None, None);
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            if !arg.starts_with("--") {
                plain.push(PathBuf::from(arg));
                continue;
            }
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let name = full_name(&name)?;
            let mut value = || inline.clone().or_else(|| args.next_if(|next| !next.starts_with("--")));
            let required =
                |value: Option<String>| value.ok_or_else(|| OptionsError(format!("{name} needs a value")));
            match name {
                "--files" => files.extend(required(value())?.split(',').map(PathBuf::from)),
                "--deep-iteration" => options.deep_iteration = true,
                "--print-data-log" => options.print_data_log = true,
                "--key-decoder-class" => decoders.0 = Some(plain_decoder(value())?),
                "--value-decoder-class" => decoders.1 = Some(plain_decoder(value())?),
                "--offsets-decoder" => options.prefer(Decoder::Offsets),
                "--transaction-log-decoder" => options.prefer(Decoder::TransactionLog),
                "--share-group-state-decoder" => options.prefer(Decoder::ShareGroupState),
                "--cluster-metadata-decoder" => options.prefer(Decoder::ClusterMetadata),
                "--remote-log-metadata-decoder" => {
                    return Err(OptionsError(format!("{name}: there is no tiered storage here")));
                }
                "--skip-record-metadata" => options.skip_record_metadata = true,
                "--max-bytes" => options.max_bytes = number(name, &required(value())?)?,
                "--index-sanity-check" => options.index_sanity_check = true,
                "--verify-index-only" => options.verify_index_only = true,
                _ => options.max_message_size = number(name, &required(value())?)?,
            }
        }
        options.complete(plain, files, decoders)
    }

    fn of_nothing() -> Options {
        Options {
            targets: Vec::new(),
            deep_iteration: false,
            print_data_log: false,
            skip_record_metadata: false,
            index_sanity_check: false,
            verify_index_only: false,
            max_message_size: DEFAULT_MAX_MESSAGE_BYTES,
            max_bytes: i32::MAX,
            decoder: None,
        }
    }

    /// Of several decoders Kafka's tool takes the first of this order.
    fn prefer(&mut self, decoder: Decoder) {
        let rank = |decoder: &Decoder| match decoder {
            Decoder::Offsets => 0,
            Decoder::TransactionLog => 1,
            Decoder::ClusterMetadata => 2,
            Decoder::ShareGroupState => 3,
            Decoder::Plain { .. } => 4,
        };
        if self.decoder.as_ref().is_none_or(|chosen| rank(&decoder) < rank(chosen)) {
            self.decoder = Some(decoder);
        }
    }

    fn complete(
        mut self,
        plain: Vec<PathBuf>,
        files: Vec<PathBuf>,
        decoders: (Option<Plain>, Option<Plain>),
    ) -> Result<Options, OptionsError> {
        if decoders != (None, None) {
            let [key, value] = [decoders.0, decoders.1].map(|decoder| decoder.unwrap_or(Plain::String));
            self.prefer(Decoder::Plain { key, value });
        }
        self.print_data_log |= self.decoder.is_some();
        if !files.is_empty() && self.decoder.is_none() {
            // Told as Kafka's tool is told: then it reads as that one does.
            self.decoder = Some(Decoder::STRINGS);
        }
        if self.decoder.is_none() {
            // Records of internal topics are nothing without their decoder.
            let in_dir = |path: &PathBuf| if path.is_dir() { path.join("x") } else { path.clone() };
            self.print_data_log |=
                plain.iter().any(|path| Decoder::for_topic(&in_dir(path)) != Decoder::STRINGS);
        }
        self.deep_iteration |= self.print_data_log;
        self.targets = files.into_iter().chain(plain).collect();
        match self.targets.is_empty() {
            true => Err(OptionsError("say which files: ottla log dump PATH...".to_owned())),
            false => Ok(self),
        }
    }
}

fn full_name(given: &str) -> Result<&'static str, OptionsError> {
    let mut matching = NAMES.iter().filter(|name| name.starts_with(given));
    match (NAMES.iter().find(|name| **name == given), matching.next(), matching.next()) {
        (Some(name), _, _) | (None, Some(name), None) => Ok(name),
        _ => Err(OptionsError(format!("log dump has no option {given}"))),
    }
}

fn number(name: &str, value: &str) -> Result<i32, OptionsError> {
    let number = value.parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| OptionsError(format!("{name} {value}: a number of bytes is needed")))
}

/// Classes are Java's; those that Kafka brings are known here by name.
fn plain_decoder(class: Option<String>) -> Result<Plain, OptionsError> {
    let Some(class) = class else { return Ok(Plain::String) };
    let name = class.rsplit('.').next().unwrap_or_default();
    let is_kafkas = ["", "org.apache.kafka.tools.api.", "kafka.serializer."];
    let is_kafkas = is_kafkas.contains(&class.strip_suffix(name).unwrap_or_default());
    match name {
        "StringDecoder" if is_kafkas => Ok(Plain::String),
        "IntegerDecoder" if is_kafkas => Ok(Plain::Integer),
        "LongDecoder" if is_kafkas => Ok(Plain::Long),
        _ => Err(OptionsError(format!(
            "{class}: Java's classes cannot be loaded here (StringDecoder, IntegerDecoder and LongDecoder are built in)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned)).map_err(|OptionsError(why)| why)
    }

    #[test]
    fn arguments_are_those_of_the_tool() {
        let of = |files: &[&str]| Options {
            targets: files.iter().map(PathBuf::from).collect(),
            decoder: Some(Decoder::STRINGS),
            ..Options::of_nothing()
        };
        assert_eq!(parse("--files a.log,b.index"), Ok(of(&["a.log", "b.index"])));
        let deep = Options { deep_iteration: true, ..of(&["a.log"]) };
        assert_eq!(parse("--deep --files=a.log"), Ok(deep.clone()));
        let data = Options { print_data_log: true, ..deep };
        assert_eq!(parse("--print-data-log --files a.log"), Ok(data.clone()));
        assert_eq!(parse("--value-decoder-class --files a.log"), Ok(data.clone()));
        let longs = Decoder::Plain { key: Plain::String, value: Plain::Long };
        let longs = Options { decoder: Some(longs), max_bytes: 7, ..data.clone() };
        let line = "--files a.log --value-decoder-class org.apache.kafka.tools.api.LongDecoder --max-bytes 7";
        assert_eq!(parse(line), Ok(longs));
        let offsets = Options { decoder: Some(Decoder::Offsets), ..data };
        assert_eq!(parse("--share-group-state-decoder --offsets-decoder --files a.log"), Ok(offsets));
        assert_eq!(parse("a.log").map(|options| options.decoder), Ok(None));
    }

    #[test]
    fn wrong_arguments_are_told() {
        for (line, expected) in [
            ("", "say which files: ottla log dump PATH..."),
            ("--files", "--files needs a value"),
            ("--files a --max-bytes -x", "--max-bytes -x: a number of bytes is needed"),
            ("--ma 5", "log dump has no option --ma"),
            ("--print", "say which files: ottla log dump PATH..."),
            (
                "--remote-log-metadata-decoder",
                "--remote-log-metadata-decoder: there is no tiered storage here",
            ),
        ] {
            assert_eq!(parse(line), Err(expected.to_owned()), "{line}");
        }
        assert!(parse("--files a --key-decoder-class my.Decoder").unwrap_err().contains("Java's classes"));
    }
}
