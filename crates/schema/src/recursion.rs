//! Whether a schema refers to itself. The time to explain why a value breaks such a schema can grow
//! exponentially with the depth of the value, which its author chooses.

use std::collections::HashSet;

use serde_json::Value;

/// References followed into each other; a schema with more counts as recursive.
const MAX_CHAIN: usize = 64;
/// Keywords whose target depends on more than the schema's text.
const DYNAMIC: [&str; 2] = ["$dynamicRef", "$recursiveRef"];

/// Whether the schema may refer to itself: where it is not plain, it counts as recursive.
pub(crate) fn is_recursive(schema: &Value) -> bool {
    let mut walk = Walk { schema, active: Vec::new(), seen: HashSet::new() };
    walk.finds_cycle("", schema)
}

struct Walk<'a> {
    schema: &'a Value,
    /// Targets that are being followed.
    active: Vec<&'a str>,
    /// Targets from which no cycle starts.
    seen: HashSet<&'a str>,
}

impl<'a> Walk<'a> {
    fn finds_cycle(&mut self, target: &'a str, value: &'a Value) -> bool {
        if self.active.contains(&target) || self.active.len() == MAX_CHAIN {
            return true;
        }
        self.active.push(target);
        let found = self.visit(value);
        self.active.pop();
        self.seen.insert(target);
        found
    }

    fn visit(&mut self, value: &'a Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|item| self.visit(item)),
            Value::Object(map) => map.iter().any(|(key, value)| match value {
                Value::String(target) if key == "$ref" => self.follow(target),
                Value::String(_) if DYNAMIC.contains(&key.as_str()) => true,
                _ => self.visit(value),
            }),
            _ => false,
        }
    }

    fn follow(&mut self, reference: &'a str) -> bool {
        let Some(pointer) = reference.strip_prefix('#') else { return true };
        if self.seen.contains(pointer) {
            return false;
        }
        match self.schema.pointer(pointer) {
            Some(value) if !pointer.contains('%') => self.finds_cycle(pointer, value),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &str, expected: bool) {
        assert_eq!(is_recursive(&serde_json::from_str(schema).unwrap()), expected, "{schema}");
    }

    #[test]
    fn cycles_are_found() {
        check("true", false);
        check(r##"{"items":{"$ref":"#/$defs/a"},"$defs":{"a":{"type":"string"}}}"##, false);
        check(r##"{"a":{"$ref":"#/d/x"},"b":{"$ref":"#/d/x"},"d":{"x":{},"y":{}}}"##, false);
        check(r##"{"a":{"$ref":"#/d/x"},"d":{"x":{"$ref":"#/d/y"},"y":{}}}"##, false);
        check(r##"{"items":{"$ref":"#"}}"##, true);
        check(r##"{"d":{"x":{"items":{"$ref":"#/d/y"}},"y":{"items":{"$ref":"#/d/x"}}}}"##, true);
        check(r##"{"d":{"x":{"anyOf":[{"items":{"$ref":"#/d/x"}}]}}}"##, true);
        check(r##"{"items":{"$ref":"#anchor"}}"##, true);
        check(r##"{"items":{"$dynamicRef":"#node"}}"##, true);
    }
}
