//! The keywords of arrays and objects, which have schemas in them.

use serde_json::{Map, Value};

use super::keywords::{self, Keywords};
use super::{Builder, invalid};
use crate::InvalidSchema;
use crate::json::documents::Scope;
use crate::json::draft::Draft;
use crate::json::graph::{Additional, ArrayRule, ObjectRule};

impl<'a> Builder<'a> {
    pub(super) fn array_rule(
        &mut self,
        keywords: &Keywords<'a>,
        scope: &Scope,
    ) -> Result<Option<Box<ArrayRule>>, InvalidSchema> {
        if !keywords.has_array_keyword() {
            return Ok(None);
        }
        let mut rule = keywords.array_counts()?;
        if scope.draft != Draft::Draft4 {
            rule.contains = self.optional(keywords.get("contains"), scope)?;
        }
        if scope.draft.is_modern() {
            self.modern_items(&mut rule, keywords, scope)?;
        } else {
            self.items(&mut rule, keywords, scope)?;
        }
        Ok(Some(Box::new(rule)))
    }

    fn modern_items(
        &mut self,
        rule: &mut ArrayRule,
        keywords: &Keywords<'a>,
        scope: &Scope,
    ) -> Result<(), InvalidSchema> {
        rule.unevaluated = self.optional(keywords.get("unevaluatedItems"), scope)?;
        match rule.contains {
            Some(_) => rule.min_contains = rule.min_contains.or(Some(1)),
            None => (rule.min_contains, rule.max_contains) = (None, None),
        }
        // A list of items is a tuple in 2019-09, and an error since.
        if scope.draft == Draft::Draft2019 && keywords.get("items").is_some_and(Value::is_array) {
            return self.items(rule, keywords, scope);
        }
        for value in keywords.array("prefixItems")?.unwrap_or_default() {
            rule.tuple.push(self.schema(value, scope)?);
        }
        match keywords.get("items") {
            None | Some(Value::Bool(true)) => (),
            Some(Value::Bool(false)) => rule.additional = Additional::Closed,
            Some(value) => {
                let items = self.schema(value, scope)?;
                match rule.tuple.is_empty() {
                    true => rule.all_items = Some(items),
                    false => rule.additional = Additional::Schema(items),
                }
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        rule: &mut ArrayRule,
        keywords: &Keywords<'a>,
        scope: &Scope,
    ) -> Result<(), InvalidSchema> {
        rule.additional = self.additional(keywords.get("additionalItems"), scope)?;
        match keywords.get("items") {
            Some(Value::Array(tuple)) => {
                for value in tuple {
                    rule.tuple.push(self.schema(value, scope)?);
                }
            }
            Some(Value::Bool(_)) if scope.draft == Draft::Draft4 => {
                return Err(invalid("items: expected an object or array, found BOOLEAN"));
            }
            items => rule.all_items = self.optional(items, scope)?,
        }
        if rule.all_items.is_some() && rule.additional == Additional::Closed {
            rule.additional = Additional::Open;
        }
        Ok(())
    }

    pub(super) fn object_rule(
        &mut self,
        keywords: &Keywords<'a>,
        scope: &Scope,
    ) -> Result<Option<Box<ObjectRule>>, InvalidSchema> {
        if !keywords.has_object_keyword()? {
            return Ok(None);
        }
        let is_modern = scope.draft.is_modern();
        let mut rule = keywords.object_counts()?;
        rule.additional = self.additional(keywords.get("additionalProperties"), scope)?;
        for (name, value) in keywords.object("properties")?.into_iter().flatten() {
            // Before 2019-09 an id stands beside properties, too, and is none of them.
            if is_modern || name != scope.draft.id_keyword() || value.is_object() {
                rule.properties.insert(name.clone(), self.schema(value, scope)?);
            }
        }
        for (pattern, value) in keywords.object("patternProperties")?.into_iter().flatten() {
            keywords::check_pattern(pattern)?;
            rule.patterns.push((pattern.clone(), self.schema(value, scope)?));
        }
        if scope.draft != Draft::Draft4 {
            rule.names = self.optional(keywords.get("propertyNames"), scope)?;
        }
        match is_modern {
            true => {
                rule.unevaluated = self.optional(keywords.get("unevaluatedProperties"), scope)?;
                self.modern_dependencies(&mut rule, keywords, scope)?;
            }
            false => self.dependencies(&mut rule, keywords.object("dependencies")?, scope)?,
        }
        Ok(Some(Box::new(rule)))
    }

    fn modern_dependencies(
        &mut self,
        rule: &mut ObjectRule,
        keywords: &Keywords<'a>,
        scope: &Scope,
    ) -> Result<(), InvalidSchema> {
        for (name, value) in keywords.object("dependentRequired")?.into_iter().flatten() {
            add_property_dependency(rule, name, value)?;
        }
        for (name, value) in keywords.object("dependentSchemas")?.into_iter().flatten() {
            rule.schema_dependencies.insert(name.clone(), self.schema(value, scope)?);
        }
        Ok(())
    }

    fn dependencies(
        &mut self,
        rule: &mut ObjectRule,
        dependencies: Option<&'a Map<String, Value>>,
        scope: &Scope,
    ) -> Result<(), InvalidSchema> {
        for (name, value) in dependencies.into_iter().flatten() {
            match value {
                Value::Array(_) => add_property_dependency(rule, name, value)?,
                Value::Bool(_) if scope.draft == Draft::Draft4 => {
                    return Err(invalid("dependencies: expected an object or array, found BOOLEAN"));
                }
                schema => {
                    rule.schema_dependencies.insert(name.clone(), self.schema(schema, scope)?);
                }
            }
        }
        Ok(())
    }

    fn additional(&mut self, value: Option<&'a Value>, scope: &Scope) -> Result<Additional, InvalidSchema> {
        match value {
            None | Some(Value::Bool(true)) => Ok(Additional::Open),
            Some(Value::Bool(false)) => Ok(Additional::Closed),
            Some(value) => Ok(Additional::Schema(self.schema(value, scope)?)),
        }
    }
}

/// A dependency on nothing is none.
fn add_property_dependency(rule: &mut ObjectRule, name: &str, value: &Value) -> Result<(), InvalidSchema> {
    let needed = keywords::string_set(name, value)?;
    if !needed.is_empty() {
        rule.property_dependencies.insert(name.to_owned(), needed);
    }
    Ok(())
}
