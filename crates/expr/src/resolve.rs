//! From a syntax tree to a program: every name is looked up, every constant read, every field path collected.
//!
//! What is refused here never meets an object: unknown names, wrong calls, regular expressions that are not constant or too
//! large, constants that their function cannot read, and `object` as a whole.

use jiff::tz::{Offset, TimeZone};
use regex::RegexBuilder;
use units::KeyPath;

use crate::functions::{self, Function, Macro, Signature, Written};
use crate::invalid::{InvalidExpression, Place, shortened};
use crate::lexer::Span;
use crate::limits::{
    EXCERPT_CHARS_MAX, LOOPS_MAX, PATTERN_BYTES_MAX, PATTERN_COMPILED_BYTES_MAX, PATTERNS_MAX,
};
use crate::program::{Constant, Kind, Loop, Node, Part, Wrapped};
use crate::steady::told_in;
use crate::syntax::{Access, Form, Literal, Syntax};
use crate::time::{parse_span, parse_time};

type Resolved = Result<Kind, InvalidExpression>;

const OBJECT: &str = "object";
const NOW: &str = "now";
const OPTIONAL: &str = "optional";

/// A program and what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) root: Node,
    /// Every path that is read, by the number that the nodes have for it.
    pub(crate) fields: Vec<KeyPath>,
    pub(crate) uses_now: bool,
    /// Of every `now` in it, it can be told when what depends on it turns.
    pub(crate) is_steady: bool,
}

/// The program of a syntax tree; `text` is what the tree was parsed from.
pub(crate) fn resolve(text: &str, syntax: &Syntax) -> Result<Program, InvalidExpression> {
    let mut resolver = Resolver {
        text,
        fields: Vec::new(),
        nows: 0,
        steady_nows: 0,
        variables: Vec::new(),
        loops: 0,
        patterns: 0,
    };
    let root = resolver.node(syntax)?;
    let Resolver { fields, nows, steady_nows, .. } = resolver;
    Ok(Program { root, fields, uses_now: nows > 0, is_steady: nows == steady_nows })
}

#[derive(Debug)]
struct Resolver<'t> {
    text: &'t str,
    fields: Vec<KeyPath>,
    /// How often `now` stands in it.
    nows: usize,
    /// How often it stands where it can be told when what depends on it turns.
    steady_nows: usize,
    /// The variables of loops and of `optMap` that surround this place, outermost first.
    variables: Vec<Box<str>>,
    loops: usize,
    patterns: usize,
}

/// Keys below `object`, written with dots or as constant texts in brackets.
#[derive(Debug)]
struct Chain {
    keys: Vec<Box<str>>,
    access: Access,
}

impl Resolver<'_> {
    fn node(&mut self, syntax: &Syntax) -> Result<Node, InvalidExpression> {
        Ok(Node { kind: self.kind(syntax)?, span: syntax.span })
    }

    fn boxed(&mut self, syntax: &Syntax) -> Result<Box<Node>, InvalidExpression> {
        self.node(syntax).map(Box::new)
    }

    fn nodes(&mut self, all: &[Syntax]) -> Result<Box<[Node]>, InvalidExpression> {
        all.iter().map(|syntax| self.node(syntax)).collect()
    }

    fn kind(&mut self, syntax: &Syntax) -> Resolved {
        Ok(match &syntax.form {
            Form::Literal(literal) => Kind::Constant(constant(literal)),
            Form::Name(name) => return self.name(name, syntax.span),
            Form::Select { operand, key, access } => return self.select(syntax, operand, key, *access),
            Form::Index { operand, index, access } => return self.index(syntax, operand, index, *access),
            Form::Call { target, name, arguments } => {
                return self.call(target.as_deref(), name, arguments, syntax.span);
            }
            Form::List(elements) => Kind::List(self.nodes(elements)?),
            Form::Map(entries) => Kind::Map(
                entries
                    .iter()
                    .map(|(key, value)| Ok((self.node(key)?, self.node(value)?)))
                    .collect::<Result<_, _>>()?,
            ),
            Form::Not(operand) => Kind::Not(self.boxed(operand)?),
            Form::Negate(operand) => Kind::Negate(self.boxed(operand)?),
            Form::Binary(operator, left, right) => {
                let operands = Box::new([self.node(left)?, self.node(right)?]);
                self.steady_nows += told_in(*operator, &operands);
                Kind::Binary(*operator, operands)
            }
            Form::Logic(logic, operands) => Kind::Logic(*logic, self.nodes(operands)?),
            Form::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                Kind::Choice(Box::new([self.node(condition)?, self.node(then)?, self.node(otherwise)?]))
            }
        })
    }

    fn name(&mut self, name: &str, span: Span) -> Resolved {
        if let Some(slot) = self.variables.iter().rposition(|variable| **variable == *name) {
            return Ok(Kind::Variable(slot));
        }
        match name {
            OBJECT => Err(InvalidExpression::WholeObject { place: self.place(span) }),
            NOW => {
                self.nows += 1;
                Ok(Kind::Now)
            }
            _ => Err(InvalidExpression::UnknownVariable {
                name: name.to_owned(),
                instead: self.variable_instead_of(name),
                place: self.place(span),
            }),
        }
    }

    fn variable_instead_of(&self, name: &str) -> String {
        if ["self", "oldObject", "resource", "obj", "this", "target"].contains(&name) {
            return format!("the object is called `{OBJECT}`");
        }
        if ["metadata", "spec", "status", "data", "type"].contains(&name) {
            return format!("write `{OBJECT}.{name}`");
        }
        if name.eq_ignore_ascii_case("not") {
            return "not is written `!`".to_owned();
        }
        let known = self.variables.iter().map(|variable| &**variable).chain([OBJECT, NOW]);
        match functions::nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "there are `{OBJECT}` and `{NOW}`; a text stands in quotes: '{}'",
                shortened(name, 20)
            ),
        }
    }

    fn select(&mut self, syntax: &Syntax, operand: &Syntax, key: &str, access: Access) -> Resolved {
        if let Some(chain) = self.chain(syntax) {
            return Ok(self.field(chain));
        }
        Ok(Kind::Select { operand: self.boxed(operand)?, key: key.into(), access })
    }

    fn index(&mut self, syntax: &Syntax, operand: &Syntax, index: &Syntax, access: Access) -> Resolved {
        if let Some(chain) = self.chain(syntax) {
            return Ok(self.field(chain));
        }
        Ok(Kind::Index { operand: self.boxed(operand)?, index: self.boxed(index)?, access })
    }

    fn field(&mut self, chain: Chain) -> Kind {
        let access = chain.access;
        let number = self.number(chain);
        match access {
            Access::Required => Kind::Field(number),
            Access::Optional => Kind::OptionalField(number),
        }
    }

    /// The number of a path among those that are read.
    fn number(&mut self, chain: Chain) -> usize {
        let path: KeyPath = chain.keys.into_iter().collect();
        if let Some(known) = self.fields.iter().position(|field| *field == path) {
            return known;
        }
        self.fields.push(path);
        self.fields.len() - 1
    }

    /// The keys of `object.a['b'].?c`, if this is nothing but that.
    fn chain(&self, syntax: &Syntax) -> Option<Chain> {
        let (operand, key, access) = match &syntax.form {
            Form::Name(name) => {
                let is_object = **name == *OBJECT && !self.variables.iter().any(|variable| variable == name);
                return is_object.then(|| Chain { keys: Vec::new(), access: Access::Required });
            }
            Form::Select { operand, key, access } => (operand, key, *access),
            Form::Index { operand, index, access } => match &index.form {
                Form::Literal(Literal::Text(key)) => (operand, key, *access),
                _ => return None,
            },
            _ => return None,
        };
        let mut chain = self.chain(operand)?;
        chain.keys.push(key.clone());
        if access == Access::Optional {
            chain.access = Access::Optional;
        }
        Some(chain)
    }

    fn call(&mut self, target: Option<&Syntax>, name: &str, arguments: &[Syntax], span: Span) -> Resolved {
        if target.is_some_and(|target| self.is_optional_namespace(target)) {
            return self.optional(name, arguments, span);
        }
        let Some(signature) = functions::find(name) else {
            let instead = functions::instead_of(name);
            let place = self.place_of_name(target, span);
            return Err(InvalidExpression::UnknownFunction { name: name.to_owned(), instead, place });
        };
        let written = if target.is_some() { Written::Method } else { Written::Global };
        if !signature.allows(written, arguments.len() + usize::from(target.is_some())) {
            let place = self.place_of_name(target, span);
            return Err(InvalidExpression::WrongCall {
                name: name.to_owned(),
                usage: signature.usage,
                place,
            });
        }
        let all: Vec<&Syntax> = target.into_iter().chain(arguments).collect();
        match (signature.function, &*all) {
            (Function::Macro(Macro::Has), [field]) => self.has(field),
            (Function::Macro(kind), [target, rest @ ..]) => self.binding(kind, signature, target, rest),
            (Function::Matches, [text, pattern]) => self.matches(text, pattern),
            (Function::Part(part), [of, zone @ ..]) => self.part(part, of, zone.first().copied()),
            (function, all) => {
                if let Some(constant) = self.constant_call(function, all)? {
                    return Ok(Kind::Constant(constant));
                }
                let arguments = all.iter().map(|argument| self.node(argument)).collect::<Result<_, _>>()?;
                Ok(Kind::Call(function, arguments))
            }
        }
    }

    fn is_optional_namespace(&self, target: &Syntax) -> bool {
        matches!(&target.form, Form::Name(name) if &**name == OPTIONAL && !self.variables.contains(name))
    }

    fn optional(&mut self, name: &str, arguments: &[Syntax], span: Span) -> Resolved {
        let function = match (name, arguments.len()) {
            ("of", 1) => Function::OptionalOf,
            ("none", 0) => Function::OptionalNone,
            _ => {
                let usage = "optional.of(x), optional.none() or object.?field";
                let place = self.place(span);
                return Err(InvalidExpression::WrongCall { name: format!("optional.{name}"), usage, place });
            }
        };
        Ok(Kind::Call(function, self.nodes(arguments)?))
    }

    fn has(&mut self, field: &Syntax) -> Resolved {
        if let (Form::Select { .. }, Some(chain)) = (&field.form, self.chain(field)) {
            return Ok(Kind::HasField(self.number(chain)));
        }
        match &field.form {
            Form::Select { operand, key, .. } => {
                Ok(Kind::Has { operand: self.boxed(operand)?, key: key.clone() })
            }
            Form::Index { operand, index, .. } => {
                let (map, key) = (self.excerpt(operand.span), self.excerpt(index.span));
                let what = format!("has() asks for a field after a dot: write `{key} in {map}`");
                Err(InvalidExpression::Unsupported { what, place: self.place(field.span) })
            }
            _ => {
                let what = "has() asks for a field after a dot: write has(object.status.phase)".to_owned();
                Err(InvalidExpression::Unsupported { what, place: self.place(field.span) })
            }
        }
    }

    /// What binds a variable: the loops and `optMap`. `rest` is the variable and one body or two.
    fn binding(&mut self, kind: Macro, signature: &Signature, target: &Syntax, rest: &[&Syntax]) -> Resolved {
        let [variable, bodies @ ..] = rest else {
            let (name, place) = (signature.name.to_owned(), self.place(target.span));
            return Err(InvalidExpression::WrongCall { name, usage: signature.usage, place });
        };
        let range = self.boxed(target)?;
        let is_loop = !matches!(kind, Macro::OptMap | Macro::OptFlatMap);
        if is_loop && self.loops >= LOOPS_MAX {
            return Err(InvalidExpression::TooManyLoops { place: self.place(target.span) });
        }
        let variable = self.new_variable(variable, signature)?;
        self.variables.push(variable);
        self.loops += usize::from(is_loop);
        let bodies = bodies.iter().map(|body| self.node(body)).collect::<Result<Vec<_>, _>>()?;
        self.loops -= usize::from(is_loop);
        self.variables.pop();
        Ok(match <[Node; 2]>::try_from(bodies) {
            Ok(bodies) => Kind::MapWhere { range, bodies: Box::new(bodies) },
            Err(mut bodies) => {
                let Some(body) = bodies.pop().map(Box::new) else {
                    let (name, place) = (signature.name.to_owned(), self.place(target.span));
                    return Err(InvalidExpression::WrongCall { name, usage: signature.usage, place });
                };
                bound(kind, range, body)
            }
        })
    }

    fn new_variable(&self, syntax: &Syntax, signature: &Signature) -> Result<Box<str>, InvalidExpression> {
        match &syntax.form {
            Form::Name(name) if **name != *OBJECT && **name != *NOW => Ok(name.clone()),
            _ => Err(InvalidExpression::WrongCall {
                name: signature.name.to_owned(),
                usage: signature.usage,
                place: self.place(syntax.span),
            }),
        }
    }

    fn matches(&mut self, text: &Syntax, pattern: &Syntax) -> Resolved {
        let place = self.place(pattern.span);
        let Form::Literal(Literal::Text(source)) = &pattern.form else {
            let what =
                "a regular expression has to be a constant text: it is compiled and measured once".to_owned();
            return Err(InvalidExpression::Pattern { what, place });
        };
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(InvalidExpression::too_many_patterns(place));
        }
        if source.len() > PATTERN_BYTES_MAX {
            return Err(InvalidExpression::pattern_too_long(place));
        }
        let compiled = RegexBuilder::new(&with_ascii_classes(source))
            .size_limit(PATTERN_COMPILED_BYTES_MAX)
            .dfa_size_limit(PATTERN_COMPILED_BYTES_MAX)
            .build();
        match compiled {
            Ok(pattern) => Ok(Kind::Matches { text: self.boxed(text)?, pattern }),
            Err(regex::Error::CompiledTooBig(_)) => Err(InvalidExpression::pattern_too_large(place)),
            Err(error) => Err(InvalidExpression::Pattern { what: wrong_pattern(&error), place }),
        }
    }

    fn part(&mut self, part: Part, of: &Syntax, zone: Option<&Syntax>) -> Resolved {
        let zone = match zone {
            Some(zone) => self.zone(zone)?,
            None => TimeZone::UTC,
        };
        Ok(Kind::Part { of: self.boxed(of)?, part, zone })
    }

    fn zone(&self, syntax: &Syntax) -> Result<TimeZone, InvalidExpression> {
        let known = match &syntax.form {
            Form::Literal(Literal::Text(name)) => offset_zone(name).or_else(|| TimeZone::get(name).ok()),
            _ => None,
        };
        known.ok_or_else(|| InvalidExpression::Constant {
            what: "a time zone is a constant text such as 'Europe/Berlin', 'UTC' or '+02:00'".to_owned(),
            place: self.place(syntax.span),
        })
    }

    /// What `timestamp('…')` and `duration('…')` of a constant text mean; other calls are left alone.
    fn constant_call(
        &self,
        function: Function,
        arguments: &[&Syntax],
    ) -> Result<Option<Constant>, InvalidExpression> {
        let [Syntax { form: Form::Literal(Literal::Text(text)), span, .. }] = arguments else {
            return Ok(None);
        };
        let (constant, wanted) = match function {
            Function::Timestamp => {
                (parse_time(text).map(Constant::Time), "a timestamp, such as '2026-01-31T22:00:00Z'")
            }
            Function::Duration => {
                (parse_span(text).map(Constant::Span), "a duration, such as '72h', '1h30m' or '7d'")
            }
            Function::Quantity => (None, "a quantity, such as '500m' or '1Gi'"),
            _ => return Ok(None),
        };
        if function == Function::Quantity && text.parse::<units::Quantity>().is_ok() {
            return Ok(None);
        }
        if constant.is_some() {
            return Ok(constant);
        }
        let what = format!("'{}' is not {wanted}", shortened(text, 30));
        Err(InvalidExpression::Constant { what, place: self.place(*span) })
    }

    fn place(&self, span: Span) -> Place {
        Place::of(self.text, usize::try_from(span.start).unwrap_or(usize::MAX))
    }

    /// Where the name of a call stands: behind its target.
    fn place_of_name(&self, target: Option<&Syntax>, span: Span) -> Place {
        let start = target.map_or(span.start, |target| target.span.end);
        self.place(Span { start, ..span })
    }

    fn excerpt(&self, span: Span) -> String {
        excerpt(self.text, span)
    }
}

/// What stands at a span, shortened.
pub(crate) fn excerpt(text: &str, span: Span) -> String {
    let range = usize::try_from(span.start).unwrap_or(0)..usize::try_from(span.end).unwrap_or(0);
    shortened(text.get(range).unwrap_or_default(), EXCERPT_CHARS_MAX)
}

fn constant(literal: &Literal) -> Constant {
    match literal {
        Literal::Null => Constant::Null,
        Literal::Bool(value) => Constant::Bool(*value),
        Literal::Int(value) => Constant::Int(*value),
        Literal::Float(value) => Constant::Float(*value),
        Literal::Text(text) => Constant::Text(text.clone()),
    }
}

fn bound(kind: Macro, range: Box<Node>, body: Box<Node>) -> Kind {
    let kind = match kind {
        Macro::OptMap => return Kind::OptionalMap { operand: range, body, result: Wrapped::Value },
        Macro::OptFlatMap => return Kind::OptionalMap { operand: range, body, result: Wrapped::Optional },
        Macro::All => Loop::All,
        Macro::ExistsOne => Loop::ExistsOne,
        Macro::Map => Loop::Map,
        Macro::Filter => Loop::Filter,
        // `has` binds nothing and does not come here.
        Macro::Exists | Macro::Has => Loop::Exists,
    };
    Kind::Loop { kind, range, body }
}

/// The pattern with `\w`, `\d` and `\s` as CEL has them, from RE2: of ASCII alone, and so a hundred times smaller.
fn with_ascii_classes(pattern: &str) -> String {
    let mut ascii = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        let escaped = if char == '\\' { chars.next() } else { None };
        match escaped {
            Some('w') => ascii += "[0-9A-Za-z_]",
            Some('W') => ascii += "[^0-9A-Za-z_]",
            Some('d') => ascii += "[0-9]",
            Some('D') => ascii += "[^0-9]",
            Some('s') => ascii += r"[\t\n\f\r ]",
            Some('S') => ascii += r"[^\t\n\f\r ]",
            Some(other) => ascii.extend(['\\', other]),
            None => ascii.push(char),
        }
    }
    ascii
}

/// The last line of what the library says, which is the only one for people.
fn wrong_pattern(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let reason = last.strip_prefix("error: ").unwrap_or(last).trim();
    format!("the regular expression is wrong: {}", shortened(reason, 2 * EXCERPT_CHARS_MAX))
}

/// A zone such as `+02:00`, as CEL writes them.
fn offset_zone(name: &str) -> Option<TimeZone> {
    let (sign, rest) = match name.as_bytes().first()? {
        b'-' => (-1, name.get(1..)?),
        b'+' => (1, name.get(1..)?),
        b'0'..=b'9' => (1, name),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str, max: i32| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|value: &i32| is_number && *value <= max)
    };
    let seconds = number(hours, 23)? * 3_600 + number(minutes, 59)? * 60;
    Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed)
}
