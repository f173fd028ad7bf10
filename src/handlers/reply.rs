//! What a handler leaves behind, on its way to the socket.

use std::future::Future;
use std::pin::Pin;

use ottla_protocol::messages::{Encodable, HeaderVersion};
use ottla_protocol::response::{self, ResponseFrame};
use tracing::error;

/// A reply that may still wait for the log, for time to pass, or for other members.
pub type PendingReply = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// An encoded answer.
#[derive(Debug)]
pub enum Reply {
    Respond(ResponseFrame),
    /// Produce with acks=0 is not answered.
    Nothing,
    /// The connection is closed, as Kafka does with what it cannot answer.
    Close,
}

/// How a handler's typed outcome becomes bytes.
pub trait IntoReply {
    fn into_reply(self, api_version: i16, correlation_id: i32) -> Reply;
}

impl<R: Encodable + HeaderVersion> IntoReply for R {
    fn into_reply(self, api_version: i16, correlation_id: i32) -> Reply {
        match response::encode_response(correlation_id, api_version, &self) {
            Ok(frame) => Reply::Respond(frame),
            Err(error) => {
                error!(%error, response = std::any::type_name::<R>(), api_version, "response cannot be encoded");
                Reply::Close
            }
        }
    }
}
