//! Functions on texts, and regular expressions. Positions count characters, as CEL has it.

use regex::Regex;

use super::{Outcome, Run};
use crate::answer::EvaluationError;
use crate::datum::Datum;
use crate::functions::Function;
use crate::limits::BYTES_PER_STEP;
use crate::program::Node;

impl<'v> Run<'v> {
    pub(super) fn matches(&mut self, text: &'v Node, pattern: &Regex) -> Outcome<'v> {
        let value = self.node(text)?;
        let haystack = self.text_of(&value, text)?;
        // The search is linear in the text, but for each of its bytes it may visit much of the pattern.
        self.spend_bytes(haystack.len().saturating_mul(BYTES_PER_STEP))?;
        Ok(Datum::Bool(pattern.is_match(haystack)))
    }

    /// A function of a text and of arguments that are texts and, at the end, integers.
    pub(super) fn text_call(&mut self, node: &Node, function: Function, nodes: &'v [Node]) -> Outcome<'v> {
        let values = nodes.iter().map(|node| self.node(node)).collect::<Result<Vec<_>, _>>()?;
        let [first, ..] = nodes else { return Err(self.no_such_field(node)) };
        let text = values.first().map_or(Ok(""), |value| self.text_of(value, first))?;
        self.spend_bytes(text.len())?;
        let argument = |run: &Self, at: usize| match (values.get(at), nodes.get(at)) {
            (Some(value), Some(node)) => run.text_of(value, node).map(str::to_owned),
            _ => Ok(String::new()),
        };
        let number = |run: &Self, at: usize| match (values.get(at), nodes.get(at)) {
            (Some(value), Some(node)) => run.integer_of(value, node).map(Some),
            _ => Ok(None),
        };
        Ok(match function {
            Function::Contains => Datum::Bool(text.contains(&argument(self, 1)?)),
            Function::StartsWith => Datum::Bool(text.starts_with(&argument(self, 1)?)),
            Function::EndsWith => Datum::Bool(text.ends_with(&argument(self, 1)?)),
            Function::LowerAscii => Datum::made(&text.to_ascii_lowercase()),
            Function::UpperAscii => Datum::made(&text.to_ascii_uppercase()),
            Function::Trim => Datum::made(text.trim()),
            Function::IndexOf => position(text, text.find(&argument(self, 1)?)),
            Function::LastIndexOf => position(text, text.rfind(&argument(self, 1)?)),
            Function::CharAt => match number(self, 1)?.and_then(|at| usize::try_from(at).ok()) {
                Some(at) if at <= text.chars().count() => {
                    Datum::made(&text.chars().skip(at).take(1).collect::<String>())
                }
                _ => return Err(self.out_of_text(node)),
            },
            Function::Substring => {
                let (from, before) = (number(self, 1)?.unwrap_or(0), number(self, 2)?);
                substring(text, from, before).ok_or_else(|| self.out_of_text(node))?
            }
            Function::Split => self.split(text, &argument(self, 1)?, number(self, 2)?)?,
            Function::Replace => {
                self.replace(text, [&argument(self, 1)?, &argument(self, 2)?], number(self, 3)?)?
            }
            _ => return Err(self.no_such_field(node)),
        })
    }

    fn split(&mut self, text: &str, separator: &str, most: Option<i64>) -> Outcome<'v> {
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let pieces: Vec<&str> = if separator.is_empty() {
            // Each character alone, and the rest in the last piece.
            let cuts = text.char_indices().map(|(at, _)| at).take(most);
            let mut starts: Vec<usize> = cuts.collect();
            starts.push(text.len());
            let ends = starts.iter().skip(1).enumerate();
            let last = starts.len().saturating_sub(2);
            let end = |(at, end): (usize, &usize)| if at == last { text.len() } else { *end };
            starts.iter().zip(ends.map(end)).filter_map(|(start, end)| text.get(*start..end)).collect()
        } else {
            text.splitn(most, separator).collect()
        };
        self.spend(u32::try_from(pieces.len()).unwrap_or(u32::MAX))?;
        Ok(Datum::MadeList(pieces.into_iter().map(Datum::made).collect()))
    }

    fn replace(&mut self, text: &str, [old, new]: [&str; 2], most: Option<i64>) -> Outcome<'v> {
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let replaced = text.matches(old).take(most).count();
        self.spend_bytes(replaced.saturating_mul(new.len()))?;
        Ok(Datum::made(&text.replacen(old, new, replaced)))
    }

    pub(super) fn join(&mut self, nodes: &'v [Node]) -> Outcome<'v> {
        let [list_node, rest @ ..] = nodes else { return Ok(Datum::made("")) };
        let list = self.list_of(list_node)?;
        let separator = match rest.first() {
            Some(node) => {
                let value = self.node(node)?;
                self.text_of(&value, node)?.to_owned()
            }
            None => String::new(),
        };
        let mut joined = String::new();
        for at in 0..list.length().unwrap_or(0) {
            let element = list.element(at).unwrap_or(Datum::Null);
            let text = self.text_of(&element, list_node)?;
            self.spend(1)?;
            self.spend_bytes(text.len() + separator.len())?;
            if at > 0 {
                joined += &separator;
            }
            joined += text;
        }
        Ok(Datum::made(&joined))
    }

    pub(super) fn text_of<'d>(&self, datum: &'d Datum<'v>, node: &Node) -> Result<&'d str, EvaluationError> {
        datum.text().ok_or_else(|| {
            let hint = if matches!(datum, Datum::Null) { "" } else { "; write string(…) around it" };
            let what = format!("has to be a string here, not {}{hint}", datum.described());
            self.wrong_type(node.span, what)
        })
    }

    pub(super) fn list_of(&mut self, node: &'v Node) -> Outcome<'v> {
        let list = self.node(node)?;
        if list.is_list() {
            return Ok(list);
        }
        Err(self.wrong_type(node.span, format!("has to be a list here, not {}", list.described())))
    }

    fn integer_of(&self, datum: &Datum<'v>, node: &Node) -> Result<i64, EvaluationError> {
        match datum {
            Datum::Int(value) => Ok(*value),
            other => {
                let what = format!("has to be an integer here, not {}", other.described());
                Err(self.wrong_type(node.span, what))
            }
        }
    }

    fn out_of_text(&self, node: &Node) -> EvaluationError {
        self.wrong_value(node.span, "this position is outside of the string")
    }
}

/// A place in bytes as a place in characters; -1 if there is none.
fn position<'v>(text: &str, at: Option<usize>) -> Datum<'v> {
    let characters = at.and_then(|at| text.get(..at)).map(|before| before.chars().count());
    Datum::Int(characters.and_then(|count| i64::try_from(count).ok()).unwrap_or(-1))
}

fn substring<'v>(text: &str, from: i64, before: Option<i64>) -> Option<Datum<'v>> {
    let length = text.chars().count();
    let from = usize::try_from(from).ok()?;
    let before = before.map_or(Some(length), |before| usize::try_from(before).ok())?;
    if from > before || before > length {
        return None;
    }
    let part: String = text.chars().skip(from).take(before - from).collect();
    Some(Datum::made(&part))
}
