//! From text to tokens.
//!
//! Knows no grammar. What cannot be a token says what to write instead.

use crate::invalid::{InvalidExpression, Place};
use crate::literal::unescape;

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}",
];

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    End,
    /// A name or a word of the language.
    Name(Box<str>),
    /// A field's name between backticks.
    Quoted(Box<str>),
    /// Without a sign, so that the smallest integer can be written.
    Int(u64),
    Float(f64),
    Text(Box<str>),
    Symbol(&'static str),
}

/// Bytes of the text from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

#[derive(Debug)]
pub(crate) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token and where it stands; [`Token::End`] for ever after the last.
    pub(crate) fn next(&mut self) -> Result<(Token, Span), InvalidExpression> {
        self.skip_blanks();
        let start = self.at;
        let token = self.token()?;
        Ok((token, Span { start: offset(start), end: offset(self.at) }))
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|c| c.is_ascii_whitespace());
            if !self.rest().starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<Token, InvalidExpression> {
        let mut chars = self.rest().chars();
        let Some(first) = chars.next() else { return Ok(Token::End) };
        let second = chars.next();
        match first {
            '\'' | '"' => self.quoted_text(Escapes::Read),
            'r' | 'R' if matches!(second, Some('\'' | '"')) => {
                self.at += 1;
                self.quoted_text(Escapes::Keep)
            }
            'b' | 'B' if matches!(second, Some('\'' | '"')) => {
                Err(self.unsupported("Kubernetes objects hold no bytes: leave out the `b` before the text"))
            }
            '`' => self.quoted_name(),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => Ok(Token::Name(self.word().into())),
            _ => self.symbol(first),
        }
    }

    fn symbol(&mut self, first: char) -> Result<Token, InvalidExpression> {
        let rest = self.rest();
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.at += symbol.len();
            return Ok(Token::Symbol(symbol));
        }
        Err(self.syntax(match first {
            '=' => "`=` does not compare: write `==`".to_owned(),
            '&' => "write `&&` for and".to_owned(),
            '|' => "write `||` for or".to_owned(),
            '‘' | '’' | '“' | '”' => "text stands between straight quotes: write 'text'".to_owned(),
            other => format!("`{}` means nothing here", other.escape_debug()),
        }))
    }

    fn word(&mut self) -> &'t str {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn quoted_name(&mut self) -> Result<Token, InvalidExpression> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let Some(length) = inside.find('`') else {
            return Err(self.syntax("a ` is missing after the name".to_owned()));
        };
        let name = inside.get(..length).unwrap_or_default();
        if name.is_empty() {
            return Err(self.syntax("there is no name between the backticks".to_owned()));
        }
        self.at += length + 2;
        Ok(Token::Quoted(name.into()))
    }

    fn quoted_text(&mut self, escapes: Escapes) -> Result<Token, InvalidExpression> {
        let rest = self.rest();
        let quote =
            ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| rest.starts_with(quote)).unwrap_or("'");
        let inside = rest.get(quote.len()..).unwrap_or_default();
        let Some(length) = length_until(inside, quote, escapes) else {
            return Err(self.syntax(format!("the text never ends: a {quote} is missing")));
        };
        let raw = inside.get(..length).unwrap_or_default();
        let text = match escapes {
            Escapes::Keep => raw.into(),
            Escapes::Read => unescape(raw).map_err(|what| self.syntax(what))?,
        };
        self.at += 2 * quote.len() + length;
        Ok(Token::Text(text))
    }

    fn number(&mut self) -> Result<Token, InvalidExpression> {
        let rest = self.rest();
        if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let length = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
            let value = u64::from_str_radix(digits.get(..length).unwrap_or_default(), 16);
            return self.end_of_number(2 + length, value.ok().map(Token::Int));
        }
        let length = decimal_length(rest);
        let digits = rest.get(..length).unwrap_or_default();
        let token = if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            digits.parse().ok().map(Token::Int)
        } else {
            digits.parse().ok().filter(|value: &f64| value.is_finite()).map(Token::Float)
        };
        self.end_of_number(length, token)
    }

    fn end_of_number(&mut self, length: usize, token: Option<Token>) -> Result<Token, InvalidExpression> {
        let token =
            token.ok_or_else(|| self.syntax("this number is too large or not complete".to_owned()))?;
        let next = self.rest().get(length..).and_then(|after| after.chars().next());
        match next {
            Some('u' | 'U') => Err(self.unsupported(
                "Kubernetes objects hold no unsigned integers: leave out the `u` after the number",
            )),
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => Err(self.syntax(format!(
                "`{c}` cannot follow a number; quantities and spans are texts: '500Mi', '72h'"
            ))),
            _ => {
                self.at += length;
                Ok(token)
            }
        }
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn syntax(&self, what: String) -> InvalidExpression {
        InvalidExpression::Syntax { what, place: Place::of(self.text, self.at) }
    }

    fn unsupported(&self, what: &str) -> InvalidExpression {
        InvalidExpression::Unsupported { what: what.to_owned(), place: Place::of(self.text, self.at) }
    }
}

/// What a backslash in a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Read,
    Keep,
}

/// Bytes before the closing quote. Only a text in three quotes may hold line ends.
fn length_until(inside: &str, quote: &str, escapes: Escapes) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = inside.get(at..)?;
        if rest.starts_with(quote) {
            return Some(at);
        }
        let mut chars = rest.chars();
        let first = chars.next()?;
        if first == '\n' && quote.len() == 1 {
            return None;
        }
        at += first.len_utf8();
        if first == '\\' && escapes == Escapes::Read {
            at += chars.next()?.len_utf8();
        }
    }
}

/// Bytes of a decimal number: digits, a fraction, an exponent.
fn decimal_length(text: &str) -> usize {
    let digits = |from: usize| text.bytes().skip(from).take_while(u8::is_ascii_digit).count();
    let mut length = digits(0);
    let fraction = digits(length + 1);
    if text.as_bytes().get(length) == Some(&b'.') && fraction > 0 {
        length += 1 + fraction;
    }
    if matches!(text.as_bytes().get(length), Some(b'e' | b'E')) {
        let signed = matches!(text.as_bytes().get(length + 1), Some(b'+' | b'-'));
        let start = length + 1 + usize::from(signed);
        let exponent = digits(start);
        if exponent > 0 {
            length = start + exponent;
        }
    }
    length
}

/// Texts are shorter than 4 GiB by far.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
