//! What an expression says, before its names are looked up.

use crate::lexer::Span;

/// One node of the syntax tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) form: Form,
    pub(crate) span: Span,
    /// 1 for a leaf; bounded, so that whoever descends the tree needs a bounded stack.
    pub(crate) height: u16,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    Literal(Literal),
    Name(Box<str>),
    Select {
        operand: Box<Syntax>,
        key: Box<str>,
        access: Access,
    },
    Index {
        operand: Box<Syntax>,
        index: Box<Syntax>,
        access: Access,
    },
    Call {
        target: Option<Box<Syntax>>,
        name: Box<str>,
        arguments: Vec<Syntax>,
    },
    List(Vec<Syntax>),
    Map(Vec<(Syntax, Syntax)>),
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    Binary(Operator, Box<Syntax>, Box<Syntax>),
    /// All of `a && b && c`, or of `a || b || c`: at least two.
    Logic(Logic, Vec<Syntax>),
    /// Condition, then, else.
    Choice(Box<[Syntax; 3]>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
}

/// Whether a field that is missing is a fault (`a.b`) or an empty optional (`a.?b`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// The operator of a symbol or word, and how strongly it binds.
    pub(crate) fn of(symbol: &str) -> Option<(Self, u8)> {
        Some(match symbol {
            "==" => (Self::Equal, 1),
            "!=" => (Self::NotEqual, 1),
            "<" => (Self::Less, 1),
            "<=" => (Self::LessOrEqual, 1),
            ">" => (Self::Greater, 1),
            ">=" => (Self::GreaterOrEqual, 1),
            "in" => (Self::In, 1),
            "+" => (Self::Add, 2),
            "-" => (Self::Subtract, 2),
            "*" => (Self::Multiply, 3),
            "/" => (Self::Divide, 3),
            "%" => (Self::Remainder, 3),
            _ => return None,
        })
    }
}
