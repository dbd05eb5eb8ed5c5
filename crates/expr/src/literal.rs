//! What stands between quotes.

/// A text with its escapes replaced, or what is wrong with one of them.
pub(crate) fn unescape(raw: &str) -> Result<Box<str>, String> {
    if !raw.contains('\\') {
        return Ok(raw.into());
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let (escaped, length) = escape(after)?;
        text.push(escaped);
        rest = after.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    Ok(text.into_boxed_str())
}

/// The character that is meant by what follows a backslash, and how many bytes that is.
fn escape(after: &str) -> Result<(char, usize), String> {
    let Some(first) = after.chars().next() else {
        return Err("a text cannot end in one `\\`: write `\\\\`".to_owned());
    };
    let plain = match first {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '\'' | '"' | '`' | '?' => first,
        'x' | 'X' => return code(after, 1, 2, 16),
        'u' => return code(after, 1, 4, 16),
        'U' => return code(after, 1, 8, 16),
        '0'..='3' => return code(after, 0, 3, 8),
        other => {
            let shown = other.escape_debug();
            return Err(format!(
                "`\\{shown}` is no escape: write `\\\\{shown}`, or r'…' for a regular expression"
            ));
        }
    };
    Ok((plain, 1))
}

/// A character by its number: `digits` of them in this base, after so many bytes.
fn code(after: &str, skip: usize, digits: usize, radix: u32) -> Result<(char, usize), String> {
    let number =
        after.get(skip..skip + digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let code = number.and_then(|number| u32::from_str_radix(number, radix).ok());
    let Some(character) = code.and_then(char::from_u32) else {
        return Err("this escape names no character: write it like `\\u00e9` or `\\x41`".to_owned());
    };
    Ok((character, skip + digits))
}
