//! The schema registry, asked for once in a request, when the first of its topics wants it.

use std::sync::Arc;

use ottla_protocol::ErrorCode;

use super::{Context, Refusal};
use crate::broker::{SchemaRegistry, SchemasUnavailable};

#[derive(Default)]
pub struct Registry(Option<Result<Arc<dyn SchemaRegistry>, Refusal>>);

impl Registry {
    pub async fn get(&mut self, context: &Context, topic: &str) -> Result<Arc<dyn SchemaRegistry>, Refusal> {
        if let Some(asked) = &self.0 {
            return asked.clone();
        }
        let registry = context.broker().schemas.caught_up(topic).await.map_err(refusal);
        self.0.insert(registry).clone()
    }
}

fn refusal(why: SchemasUnavailable) -> Refusal {
    let (code, message) = match why {
        SchemasUnavailable::NoRegistry => (
            ErrorCode::InvalidRecord,
            "The topic validates schemas, but the broker runs without a schema registry".to_owned(),
        ),
        // Every producer tries again, and none looks for another leader first.
        SchemasUnavailable::NotNow(why) => {
            (ErrorCode::NotEnoughReplicas, format!("Schemas cannot be validated now: {why}"))
        }
    };
    Refusal { code, message: Some(message), record_errors: Vec::new() }
}
