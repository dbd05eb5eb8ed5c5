//! Texts with placeholders, such as `Node {{node.name}} leaves`.
//!
//! A placeholder names a field; there is nothing to compute. What is filled in is made harmless for the place where it goes:
//! percent-encoded in an address, escaped in a message. A name that does not exist is refused when the text is read.

use std::fmt::Write as _;

use node_cleanup::contract::Task;
use serde_json::{Map, Value};

use crate::limits::{PLACEHOLDERS_MAX, RENDERED_CHARS_MAX};

/// A text with placeholders, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field { name: String, field: Field },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    NodeName,
    NodeUid,
    ProviderId,
    MachineId,
    Label(String),
    Address(String),
    RunId,
    StepId,
    Attempt,
    IdempotencyKey,
    RecordId,
}

/// Why a text cannot be filled in, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateFault {
    #[error(
        "`{{{{{given}}}}}` is no placeholder: write {{{{node.name}}}}, {{{{node.uid}}}}, {{{{node.providerId}}}}, {{{{node.machineId}}}}, {{{{node.labels['KEY']}}}}, {{{{node.addresses.TYPE}}}}, {{{{runId}}}}, {{{{stepId}}}}, {{{{attempt}}}} or {{{{idempotencyKey}}}}; and {{{{id}}}} where a record is known"
    )]
    Unknown { given: String },
    #[error("a `{{{{` has no `}}}}` behind it: write both")]
    Open,
    #[error("there are more than {PLACEHOLDERS_MAX} placeholders: write fewer")]
    TooMany,
    #[error("the node has no {name}, which the address needs: say with `when` which nodes have one")]
    Empty { name: String },
    #[error(
        "the text has more than {RENDERED_CHARS_MAX} characters once it is filled in: write a shorter one"
    )]
    TooLong,
}

/// What placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) task: &'a Task,
    /// What another system calls its record.
    pub(crate) id: Option<&'a str>,
}

/// Whether a text may speak of a record's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    OfTheNode,
    OfTheRecord,
}

impl Template {
    pub(crate) fn read(text: &str, speaks: Speaks) -> Result<Self, TemplateFault> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (given, after) = after.split_once("}}").ok_or(TemplateFault::Open)?;
            let name = given.trim();
            let field =
                field(name).filter(|field| speaks == Speaks::OfTheRecord || *field != Field::RecordId);
            let field = field.ok_or_else(|| TemplateFault::Unknown {
                given: name.chars().filter(|c| !c.is_control()).take(64).collect(),
            })?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Field { name: name.to_owned(), field });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        if pieces.len() > 2 * PLACEHOLDERS_MAX + 1 { Err(TemplateFault::TooMany) } else { Ok(Self(pieces)) }
    }

    /// The text for people, each value made harmless by `escape`. What is not known is left out.
    pub(crate) fn text(&self, facts: Facts<'_>, escape: fn(&str) -> String) -> Result<String, TemplateFault> {
        self.fill(|_, field| Ok(escape(&facts.value(field))))
    }

    /// The text as a part of an address: each value percent-encoded, and none missing, for an address without a name is that
    /// of all of them.
    pub(crate) fn address(&self, facts: Facts<'_>) -> Result<String, TemplateFault> {
        self.fill(|name, field| {
            let value = facts.value(field);
            if value.is_empty() {
                Err(TemplateFault::Empty { name: name.to_owned() })
            } else {
                Ok(percent_encoded(&value))
            }
        })
    }

    /// Whether something has to be filled in before the given place of the text.
    pub(crate) fn is_fixed_up_to(&self, bytes: usize) -> bool {
        match self.0.first() {
            Some(Piece::Text(text)) => self.0.len() == 1 || text.len() >= bytes,
            _ => false,
        }
    }

    fn fill(
        &self,
        value: impl Fn(&str, &Field) -> Result<String, TemplateFault>,
    ) -> Result<String, TemplateFault> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Field { name, field } => filled.push_str(&value(name, field)?),
            }
            if filled.len() > 4 * RENDERED_CHARS_MAX {
                return Err(TemplateFault::TooLong);
            }
        }
        if filled.chars().count() > RENDERED_CHARS_MAX { Err(TemplateFault::TooLong) } else { Ok(filled) }
    }
}

fn field(name: &str) -> Option<Field> {
    Some(match name {
        "node.name" => Field::NodeName,
        "node.uid" => Field::NodeUid,
        "node.providerId" => Field::ProviderId,
        "node.machineId" => Field::MachineId,
        "runId" => Field::RunId,
        "stepId" => Field::StepId,
        "attempt" => Field::Attempt,
        "idempotencyKey" => Field::IdempotencyKey,
        "id" => Field::RecordId,
        other => match other.strip_prefix("node.addresses.") {
            Some(kind) => Field::Address(kind.to_owned()).filter_word(kind)?,
            None => Field::Label(label(other.strip_prefix("node.labels")?)?.to_owned()),
        },
    })
}

impl Field {
    fn filter_word(self, word: &str) -> Option<Self> {
        (!word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric())).then_some(self)
    }
}

/// The key in `['KEY']`, `["KEY"]` or `.KEY`.
fn label(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let quoted = |quote: char| inner.and_then(|text| text.strip_prefix(quote)?.strip_suffix(quote));
    let key = quoted('\'').or_else(|| quoted('"')).or_else(|| text.strip_prefix('.'))?;
    let is_of_keys = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    (!key.is_empty() && key.len() <= 317 && key.chars().all(is_of_keys)).then_some(key)
}

impl Facts<'_> {
    fn value(&self, field: &Field) -> String {
        let Self { task, id } = self;
        let node = &task.node;
        match field {
            Field::NodeName => node.name.clone(),
            Field::NodeUid => node.uid.clone(),
            Field::ProviderId => node.provider_id.clone().unwrap_or_default(),
            Field::MachineId => node.machine_id.clone().unwrap_or_default(),
            Field::Label(key) => node.labels.get(key).cloned().unwrap_or_default(),
            Field::Address(kind) => {
                let address = node.addresses.iter().find(|address| address.type_ == *kind);
                address.map(|address| address.address.clone()).unwrap_or_default()
            }
            Field::RunId => task.run_id.clone(),
            Field::StepId => task.step_id.clone(),
            Field::Attempt => task.attempt.to_string(),
            Field::IdempotencyKey => task.idempotency_key.clone(),
            Field::RecordId => id.unwrap_or_default().to_owned(),
        }
    }
}

/// What stands for itself in any part of an address stays, all else is encoded: a value neither leaves its part nor means
/// the folder above.
pub(crate) fn percent_encoded(value: &str) -> String {
    let is_a_step = value.bytes().all(|c| c == b'.');
    let mut encoded = String::new();
    for byte in value.bytes() {
        let is_plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && !is_a_step);
        if is_plain {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// As it is.
pub(crate) fn plain(value: &str) -> String {
    value.to_owned()
}

/// All texts of a value filled in; keys, numbers and what else there is stay as they are.
pub(crate) fn fill_json(value: &Value, facts: Facts<'_>, speaks: Speaks) -> Result<Value, TemplateFault> {
    Ok(match value {
        Value::String(text) => Value::String(Template::read(text, speaks)?.text(facts, plain)?),
        Value::Array(values) => {
            values.iter().map(|value| fill_json(value, facts, speaks)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Object(fields) => {
            let filled =
                |(key, value): (&String, &Value)| Ok((key.clone(), fill_json(value, facts, speaks)?));
            Value::Object(fields.iter().map(filled).collect::<Result<Map<_, _>, TemplateFault>>()?)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::node_cleanup::NodeAddress;
    use node_cleanup::contract::{Node, idempotency_key};
    use serde_json::json;

    fn task() -> Task {
        Task {
            run_id: "u-1".to_owned(),
            step_id: "tell".to_owned(),
            attempt: 2,
            idempotency_key: idempotency_key("u-1", "tell"),
            node: Node {
                name: "worker-1".to_owned(),
                uid: "u-1".to_owned(),
                labels: [("topology.kubernetes.io/zone".to_owned(), "a&<b>".to_owned())].into(),
                provider_id: Some("aws:///zone/i-1".to_owned()),
                machine_id: None,
                addresses: vec![NodeAddress {
                    type_: "InternalIP".to_owned(),
                    address: "10.0.0.9".to_owned(),
                }],
            },
            state: Map::new(),
            deadline: None,
            settings: Map::new(),
        }
    }

    #[test]
    fn every_placeholder_is_filled_in() {
        let task = task();
        let facts = Facts { task: &task, id: Some("r/7") };
        let text = "{{node.name}} {{ node.uid }} {{node.providerId}} {{node.machineId}}- \
                    {{node.labels['topology.kubernetes.io/zone']}} {{node.addresses.InternalIP}} {{runId}} {{stepId}} \
                    {{attempt}} {{idempotencyKey}} {{id}}";
        let read = Template::read(text, Speaks::OfTheRecord).unwrap();
        assert_eq!(
            read.text(facts, plain).unwrap(),
            "worker-1 u-1 aws:///zone/i-1 - a&<b> 10.0.0.9 u-1 tell 2 u-1/tell r/7"
        );
        let read = Template::read("{{node.providerId}}?q={{id}}", Speaks::OfTheRecord).unwrap();
        assert_eq!(read.address(facts).unwrap(), "aws%3A%2F%2F%2Fzone%2Fi-1?q=r%2F7");
        assert_eq!([percent_encoded(".."), percent_encoded("a.b")], ["%2E%2E", "a.b"]);
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused() {
        let task = task();
        let facts = Facts { task: &task, id: None };
        for wrong in
            ["{{node}}", "{{node.labels}}", "{{node.labels['a b']}}", "{{id}}", "{{}}", "{{node.addresses.}}"]
        {
            let fault = Template::read(wrong, Speaks::OfTheNode).unwrap_err();
            assert!(matches!(fault, TemplateFault::Unknown { .. }), "{wrong}");
            assert!(fault.to_string().contains("{{node.name}}"), "{fault}");
        }
        assert_eq!(Template::read("{{node.name", Speaks::OfTheNode), Err(TemplateFault::Open));
        let missing = Template::read("/m/{{node.machineId}}", Speaks::OfTheNode).unwrap().address(facts);
        assert!(missing.unwrap_err().to_string().contains("the node has no node.machineId"));
        let many = "{{node.name}}".repeat(PLACEHOLDERS_MAX + 1);
        assert_eq!(Template::read(&many, Speaks::OfTheNode), Err(TemplateFault::TooMany));
        let long = format!("{}{{{{node.name}}}}", "x".repeat(RENDERED_CHARS_MAX));
        assert_eq!(
            Template::read(&long, Speaks::OfTheNode).unwrap().text(facts, plain),
            Err(TemplateFault::TooLong)
        );
    }

    #[test]
    fn a_value_in_json_stays_a_text() {
        let mut task = task();
        task.node.name = r#"x", "admin": true, "y": "z"#.to_owned();
        let facts = Facts { task: &task, id: None };
        let body = json!({"a": ["{{node.name}}", 1, null], "{{node.name}}": true});
        let filled = fill_json(&body, facts, Speaks::OfTheNode).unwrap();
        assert_eq!(filled, json!({"a": [task.node.name, 1, null], "{{node.name}}": true}));
    }
}
