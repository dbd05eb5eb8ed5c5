//! From tokens to a syntax tree.
//!
//! The grammar of CEL, without messages (`Pod{…}`), which Kubernetes objects have no use for. Knows neither functions nor
//! variables. Invariant: no tree has more nodes or is higher than the limits say, and no bracket is entered beyond them.

use crate::invalid::{InvalidExpression, Place};
use crate::lexer::{Lexer, Span, Token};
use crate::limits::{HEIGHT_MAX, NODES_MAX};
use crate::syntax::{Access, Form, Literal, Logic, Operator, Syntax};

type Parsed = Result<Syntax, InvalidExpression>;

/// The syntax tree of a text.
pub(crate) fn parse(text: &str) -> Parsed {
    let mut lexer = Lexer::new(text);
    let (token, span) = lexer.next()?;
    let mut parser = Parser { text, lexer, token, span, end: 0, depth: 0, nodes: 0 };
    if parser.token == Token::End {
        return Err(parser.expected("an expression, such as `object.status.phase == 'Failed'`"));
    }
    let syntax = parser.expression()?;
    if parser.token == Token::End { Ok(syntax) } else { Err(parser.expected("an operator, or the end")) }
}

#[derive(Debug)]
struct Parser<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    /// The token that comes next, and where it stands.
    token: Token,
    span: Span,
    /// Where the token before it ends.
    end: u32,
    /// Expressions that are being parsed, one inside of the other.
    depth: u16,
    nodes: usize,
}

impl Parser<'_> {
    /// `condition ? then : else`, or what binds more strongly.
    fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > HEIGHT_MAX {
            return Err(InvalidExpression::TooHigh { place: self.place() });
        }
        let start = self.span.start;
        let condition = self.disjunction()?;
        let syntax = if self.take("?")? { self.choice(start, condition)? } else { condition };
        self.depth -= 1;
        Ok(syntax)
    }

    fn choice(&mut self, start: u32, condition: Syntax) -> Parsed {
        let then = self.disjunction()?;
        if !self.take(":")? {
            return Err(self.expected("`:` and what holds otherwise"));
        }
        let otherwise = self.expression()?;
        let height = condition.height.max(then.height).max(otherwise.height);
        self.node(start, height, Form::Choice(Box::new([condition, then, otherwise])))
    }

    fn disjunction(&mut self) -> Parsed {
        self.logic(Logic::Or, "||", Self::conjunction)
    }

    fn conjunction(&mut self) -> Parsed {
        self.logic(Logic::And, "&&", |parser| parser.binary(1))
    }

    fn logic(&mut self, logic: Logic, symbol: &str, operand: impl Fn(&mut Self) -> Parsed) -> Parsed {
        let start = self.span.start;
        let first = operand(self)?;
        if !self.is(symbol) {
            return Ok(first);
        }
        let mut height = first.height;
        let mut operands = vec![first];
        while self.take(symbol)? {
            let next = operand(self)?;
            height = height.max(next.height);
            operands.push(next);
        }
        self.node(start, height, Form::Logic(logic, operands))
    }

    /// Operators that bind at least so strongly, from left to right.
    fn binary(&mut self, strength_min: u8) -> Parsed {
        let start = self.span.start;
        let mut left = self.unary()?;
        while let Some((operator, strength)) =
            self.operator().filter(|(_, strength)| *strength >= strength_min)
        {
            self.advance()?;
            let right = self.binary(strength + 1)?;
            let height = left.height.max(right.height);
            left = self.node(start, height, Form::Binary(operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn operator(&self) -> Option<(Operator, u8)> {
        match &self.token {
            Token::Symbol(symbol) => Operator::of(symbol),
            Token::Name(word) if &**word == "in" => Operator::of(word),
            _ => None,
        }
    }

    /// `!` and `-`, any number of one of them.
    fn unary(&mut self) -> Parsed {
        let start = self.span.start;
        let sign = ["!", "-"].into_iter().find(|sign| self.is(sign));
        let Some(sign) = sign else { return self.member() };
        let mut signs = 0;
        while self.take(sign)? {
            signs += 1;
        }
        // The sign of a number belongs to it: `!-3` is the opposite of -3.
        let is_number = |parser: &Self| matches!(parser.token, Token::Int(_) | Token::Float(_));
        let operand = if sign == "-" && is_number(self) {
            signs -= 1;
            self.negative_number(start)?
        } else if sign == "!" && self.take("-")? {
            if !is_number(self) {
                return Err(self.expected("a number after `!-`, or brackets: !(-x)"));
            }
            self.negative_number(start)?
        } else {
            self.member()?
        };
        // Two of them mean nothing.
        if signs % 2 == 0 {
            return Ok(operand);
        }
        let height = operand.height;
        let form = if sign == "!" { Form::Not(Box::new(operand)) } else { Form::Negate(Box::new(operand)) };
        self.node(start, height, form)
    }

    /// A number after its minus sign, so that the smallest integer can be written.
    fn negative_number(&mut self, start: u32) -> Parsed {
        let literal = match self.token {
            Token::Int(magnitude) => 0_i64.checked_sub_unsigned(magnitude).map(Literal::Int),
            Token::Float(magnitude) => Some(Literal::Float(-magnitude)),
            _ => None,
        };
        let Some(literal) = literal else { return Err(self.integer_too_large()) };
        self.advance()?;
        let number = self.node(start, 0, Form::Literal(literal))?;
        self.chain(start, number)
    }

    fn member(&mut self) -> Parsed {
        let start = self.span.start;
        let primary = self.primary()?;
        self.chain(start, primary)
    }

    /// Fields, indexes and calls behind an operand.
    fn chain(&mut self, start: u32, operand: Syntax) -> Parsed {
        let mut syntax = operand;
        loop {
            if self.take(".")? {
                syntax = self.after_dot(start, syntax)?;
            } else if self.take("[")? {
                syntax = self.index(start, syntax)?;
            } else if self.is("{") {
                let what = "objects cannot be made here: Kubernetes fields are maps, written {'key': value}"
                    .to_owned();
                return Err(InvalidExpression::Unsupported { what, place: self.place() });
            } else {
                return Ok(syntax);
            }
        }
    }

    fn after_dot(&mut self, start: u32, operand: Syntax) -> Parsed {
        let access = self.access()?;
        let (key, may_be_called) = match &self.token {
            Token::Name(name) if &**name != "in" => (name.clone(), access == Access::Required),
            Token::Quoted(name) => (name.clone(), false),
            _ => return Err(self.expected("a field's name after the dot; others are written ['like this']")),
        };
        self.advance()?;
        if may_be_called && self.is("(") {
            return self.call(start, Some(operand), key);
        }
        let height = operand.height;
        self.node(start, height, Form::Select { operand: Box::new(operand), key, access })
    }

    fn index(&mut self, start: u32, operand: Syntax) -> Parsed {
        let access = self.access()?;
        let index = self.expression()?;
        self.close("]")?;
        let height = operand.height.max(index.height);
        self.node(start, height, Form::Index { operand: Box::new(operand), index: Box::new(index), access })
    }

    fn access(&mut self) -> Result<Access, InvalidExpression> {
        Ok(if self.take("?")? { Access::Optional } else { Access::Required })
    }

    fn call(&mut self, start: u32, target: Option<Syntax>, name: Box<str>) -> Parsed {
        self.advance()?;
        let arguments = self.list(")")?;
        let height = arguments.iter().chain(&target).map(|operand| operand.height).max().unwrap_or(0);
        self.node(start, height, Form::Call { target: target.map(Box::new), name, arguments })
    }

    fn primary(&mut self) -> Parsed {
        let start = self.span.start;
        // A leading dot means the outermost scope; there is one scope.
        self.take(".")?;
        let literal = match self.token.clone() {
            Token::Name(name) => return self.name(start, name),
            Token::Symbol("(") => return self.group(),
            Token::Symbol("[") => return self.list_literal(start),
            Token::Symbol("{") => return self.map_literal(start),
            Token::Int(value) => Literal::Int(i64::try_from(value).map_err(|_| self.integer_too_large())?),
            Token::Float(value) => Literal::Float(value),
            Token::Text(text) => Literal::Text(text),
            Token::Quoted(_) | Token::Symbol(_) | Token::End => {
                return Err(self.expected("a value: a field, a text in quotes, a number or a call"));
            }
        };
        self.advance()?;
        self.node(start, 0, Form::Literal(literal))
    }

    fn name(&mut self, start: u32, name: Box<str>) -> Parsed {
        let literal = match &*name {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "null" => Literal::Null,
            "in" => return Err(self.expected("a value before `in`")),
            _ => {
                self.advance()?;
                return if self.is("(") {
                    self.call(start, None, name)
                } else {
                    self.node(start, 0, Form::Name(name))
                };
            }
        };
        self.advance()?;
        self.node(start, 0, Form::Literal(literal))
    }

    fn group(&mut self) -> Parsed {
        self.advance()?;
        let syntax = self.expression()?;
        self.close(")")?;
        Ok(syntax)
    }

    fn list_literal(&mut self, start: u32) -> Parsed {
        self.advance()?;
        let elements = self.list("]")?;
        let height = elements.iter().map(|element| element.height).max().unwrap_or(0);
        self.node(start, height, Form::List(elements))
    }

    fn map_literal(&mut self, start: u32) -> Parsed {
        self.advance()?;
        let mut entries = Vec::new();
        let mut height = 0;
        while !self.take("}")? {
            let key = self.expression()?;
            if !self.take(":")? {
                return Err(self.expected("`:` and the value of the key"));
            }
            let value = self.expression()?;
            height = height.max(key.height).max(value.height);
            entries.push((key, value));
            self.separator("}")?;
        }
        self.node(start, height, Form::Map(entries))
    }

    /// Expressions with commas between them, up to the bracket that closes them.
    fn list(&mut self, closing: &str) -> Result<Vec<Syntax>, InvalidExpression> {
        let mut elements = Vec::new();
        while !self.take(closing)? {
            elements.push(self.expression()?);
            self.separator(closing)?;
        }
        Ok(elements)
    }

    /// A comma, or nothing before the closing bracket.
    fn separator(&mut self, closing: &str) -> Result<(), InvalidExpression> {
        if self.take(",")? || self.is(closing) {
            return Ok(());
        }
        Err(self.expected(&format!("`,` or `{closing}`")))
    }

    fn close(&mut self, closing: &str) -> Result<(), InvalidExpression> {
        if self.take(closing)? { Ok(()) } else { Err(self.expected(&format!("`{closing}`"))) }
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(next) if next == symbol)
    }

    fn take(&mut self, symbol: &str) -> Result<bool, InvalidExpression> {
        let is_next = self.is(symbol);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn advance(&mut self) -> Result<(), InvalidExpression> {
        self.end = self.span.end;
        (self.token, self.span) = self.lexer.next()?;
        Ok(())
    }

    /// A node that ends where the last token ended, above what is so high.
    fn node(&mut self, start: u32, height_below: u16, form: Form) -> Parsed {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(InvalidExpression::TooManyNodes);
        }
        if height_below >= HEIGHT_MAX {
            return Err(InvalidExpression::TooHigh { place: self.place() });
        }
        Ok(Syntax { form, span: Span { start, end: self.end }, height: height_below + 1 })
    }

    fn expected(&self, what: &str) -> InvalidExpression {
        let hint = match &self.token {
            Token::Name(word) if word.eq_ignore_ascii_case("and") => "; and is written `&&`",
            Token::Name(word) if word.eq_ignore_ascii_case("or") => "; or is written `||`",
            Token::Name(word) if word.eq_ignore_ascii_case("not") => "; not is written `!`",
            _ => "",
        };
        InvalidExpression::Syntax { what: format!("expected {what}{hint}"), place: self.place() }
    }

    fn integer_too_large(&self) -> InvalidExpression {
        let what = "this integer does not fit into 64 bits".to_owned();
        InvalidExpression::Syntax { what, place: self.place() }
    }

    fn place(&self) -> Place {
        Place::of(self.text, usize::try_from(self.span.start).unwrap_or(usize::MAX))
    }
}
