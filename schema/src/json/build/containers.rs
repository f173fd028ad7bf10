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
            rule.contains = self.optional("contains", keywords, scope)?;
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
        rule.unevaluated = self.optional("unevaluatedItems", keywords, scope)?;
        match rule.contains {
            Some(_) => rule.min_contains = rule.min_contains.or(Some(1)),
            None => (rule.min_contains, rule.max_contains) = (None, None),
        }
        // A list of items is a tuple in 2019-09, and an error since.
        if scope.draft == Draft::Draft2019 && keywords.get("items").is_some_and(Value::is_array) {
            return self.items(rule, keywords, scope);
        }
        for (index, value) in keywords.array("prefixItems")?.unwrap_or_default().iter().enumerate() {
            rule.tuple.push(self.child(&["prefixItems", &index.to_string()], value, scope)?);
        }
        match keywords.get("items") {
            None | Some(Value::Bool(true)) => (),
            Some(Value::Bool(false)) => rule.additional = Additional::Closed,
            Some(value) => {
                let items = self.child(&["items"], value, scope)?;
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
        rule.additional = self.additional("additionalItems", keywords, scope)?;
        match keywords.get("items") {
            Some(Value::Array(tuple)) => {
                for (index, value) in tuple.iter().enumerate() {
                    rule.tuple.push(self.child(&["items", &index.to_string()], value, scope)?);
                }
            }
            Some(Value::Bool(_)) if scope.draft == Draft::Draft4 => {
                return Err(invalid("items: expected an object or array, found BOOLEAN"));
            }
            _ => rule.all_items = self.optional("items", keywords, scope)?,
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
        rule.additional = self.additional("additionalProperties", keywords, scope)?;
        for (name, value) in keywords.object("properties")?.into_iter().flatten() {
            // Before 2019-09 an id stands beside properties, too, and is none of them.
            if is_modern || name != scope.draft.id_keyword() || value.is_object() {
                let property = self.child(&["properties", name], value, scope)?;
                rule.properties.insert(name.clone(), property);
            }
        }
        for (pattern, value) in keywords.object("patternProperties")?.into_iter().flatten() {
            keywords::check_pattern(pattern)?;
            let property = self.child(&["patternProperties", pattern], value, scope)?;
            rule.patterns.push((pattern.clone(), property));
        }
        if scope.draft != Draft::Draft4 {
            rule.names = self.optional("propertyNames", keywords, scope)?;
        }
        match is_modern {
            true => {
                rule.unevaluated = self.optional("unevaluatedProperties", keywords, scope)?;
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
            let schema = self.child(&["dependentSchemas", name], value, scope)?;
            rule.schema_dependencies.insert(name.clone(), schema);
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
                value => {
                    let schema = self.child(&["dependencies", name], value, scope)?;
                    rule.schema_dependencies.insert(name.clone(), schema);
                }
            }
        }
        Ok(())
    }

    fn additional(
        &mut self,
        keyword: &str,
        keywords: &Keywords<'a>,
        scope: &Scope,
    ) -> Result<Additional, InvalidSchema> {
        match keywords.get(keyword) {
            None | Some(Value::Bool(true)) => Ok(Additional::Open),
            Some(Value::Bool(false)) => Ok(Additional::Closed),
            Some(value) => Ok(Additional::Schema(self.child(&[keyword], value, scope)?)),
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
