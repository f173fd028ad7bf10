//! The words, strings and numbers of a `.proto` file. Enters: text. Leaves: tokens, or where it went wrong.

use crate::InvalidSchema;

/// No word is longer: names stand in messages and paths many times over.
const MAX_WORD_BYTES: usize = 512;

pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Whether nothing follows but space and comments.
    pub fn is_exhausted(&mut self) -> Result<bool, InvalidSchema> {
        self.skip_space()?;
        Ok(self.at == self.text.len())
    }

    pub fn peek(&mut self) -> Result<u8, InvalidSchema> {
        self.skip_space()?;
        self.bytes().get(self.at).copied().ok_or_else(|| self.error("unexpected end of file"))
    }

    pub fn next(&mut self) -> Result<u8, InvalidSchema> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Takes this character if it comes next.
    pub fn take(&mut self, byte: u8) -> Result<bool, InvalidSchema> {
        let is_next = self.peek()? == byte;
        self.at += usize::from(is_next);
        Ok(is_next)
    }

    pub fn require(&mut self, byte: u8) -> Result<(), InvalidSchema> {
        let next = self.peek()?;
        if next == byte {
            self.at += 1;
            return Ok(());
        }
        let next = self.text[self.at..].chars().next().unwrap_or_default();
        Err(self
            .error_at(self.at + next.len_utf8(), &format!("expected '{}' but was '{next}'", byte as char)))
    }

    /// A word: letters, digits and `_-.`.
    pub fn word(&mut self) -> Result<&'a str, InvalidSchema> {
        self.skip_space()?;
        let rest = &self.text[self.at..];
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let length = rest.bytes().position(|byte| !is_word(byte)).unwrap_or(rest.len());
        match length {
            0 => Err(self.error("expected a word")),
            length if length > MAX_WORD_BYTES => {
                Err(self.error(&format!("a name is longer than {MAX_WORD_BYTES} bytes")))
            }
            length => {
                self.at += length;
                Ok(&rest[..length])
            }
        }
    }

    /// Whether this word comes next; it stays.
    pub fn is_next_word(&mut self, word: &str) -> Result<bool, InvalidSchema> {
        let start = self.position()?;
        let is_next = self.peek()?.is_ascii_alphabetic() && self.word()? == word;
        self.at = start;
        Ok(is_next)
    }

    /// A word that names a field or a constant.
    pub fn field_name(&mut self) -> Result<&'a str, InvalidSchema> {
        self.skip_space()?;
        let start = self.at;
        let word = self.word()?;
        self.check_field_name(word, start)?;
        Ok(word)
    }

    pub fn check_field_name(&self, word: &str, start: usize) -> Result<(), InvalidSchema> {
        match word.starts_with(|c: char| c.is_ascii_digit()) {
            true => {
                Err(self
                    .error_at(start.saturating_sub(1), "field and constant names cannot start with a digit"))
            }
            false => Ok(()),
        }
    }

    /// A word, which may stand in parentheses or brackets; they are no part of the name.
    pub fn name(&mut self) -> Result<&'a str, InvalidSchema> {
        let close = match self.peek()? {
            b'(' => b')',
            b'[' => b']',
            _ => return self.word(),
        };
        self.at += 1;
        let word = self.word()?;
        self.require(close)?;
        Ok(word)
    }

    pub fn integer(&mut self) -> Result<i32, InvalidSchema> {
        let word = self.word()?;
        let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
        let number = match hex {
            Some(digits) => i32::from_str_radix(digits, 16),
            None => word.parse(),
        };
        number.map_err(|_| self.error(&format!("expected an integer but was {word}")))
    }

    /// A string in quotes, and those that follow it, its escapes resolved.
    pub fn string(&mut self) -> Result<String, InvalidSchema> {
        let mut quote = self.next()?;
        if !matches!(quote, b'"' | b'\'') {
            return Err(self.error("expected quoted string"));
        }
        let mut string = String::new();
        loop {
            let Some(c) = self.text[self.at..].chars().next() else {
                return Err(self.error("unterminated string"));
            };
            self.at += c.len_utf8();
            match c {
                c if c == quote as char => match self.peek()? {
                    next @ (b'"' | b'\'') => {
                        self.at += 1;
                        quote = next;
                    }
                    _ => return Ok(string),
                },
                '\\' => string.push(self.escape()?),
                c => string.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, InvalidSchema> {
        let c = self.text[self.at..].chars().next().ok_or_else(|| self.error("unexpected end of file"))?;
        if c.is_digit(8) {
            return self.numeric_escape(8, 3);
        }
        self.at += c.len_utf8();
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' | 'X' => return self.numeric_escape(16, 2),
            other => other,
        })
    }

    fn numeric_escape(&mut self, radix: u32, length: usize) -> Result<char, InvalidSchema> {
        let digits =
            self.bytes()[self.at..].iter().take(length).map_while(|byte| (*byte as char).to_digit(radix));
        let (count, value) = digits.fold((0, 0), |(count, value), digit| (count + 1, value * radix + digit));
        if count == 0 {
            return Err(self.error("expected a digit after \\x or \\X"));
        }
        self.at += count;
        char::from_u32(value).ok_or_else(|| self.error("no such character"))
    }

    fn skip_space(&mut self) -> Result<(), InvalidSchema> {
        while let Some(byte) = self.bytes().get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'/' => self.skip_comment()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), InvalidSchema> {
        let body = self.at + 2;
        let (end, length) = match self.bytes().get(self.at + 1) {
            Some(b'/') => (self.find(body, "\n"), 1),
            Some(b'*') => match self.find(body, "*/") {
                None => return Err(self.error("unterminated comment")),
                end => (end, 2),
            },
            _ => return Err(self.error("unexpected '/'")),
        };
        self.at = end.map_or(self.text.len(), |end| end + length);
        Ok(())
    }

    fn find(&self, from: usize, what: &str) -> Option<usize> {
        self.text[from..].find(what).map(|at| from + at)
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Where the next token begins.
    pub fn position(&mut self) -> Result<usize, InvalidSchema> {
        self.skip_space()?;
        Ok(self.at)
    }

    pub fn error(&self, what: &str) -> InvalidSchema {
        self.error_at(self.at, what)
    }

    pub fn error_at(&self, at: usize, what: &str) -> InvalidSchema {
        InvalidSchema(format!("Could not parse Protobuf - Syntax error in {}: {what}", self.location(at)))
    }

    /// Line and column, from 1.
    pub fn location(&self, at: usize) -> String {
        let before = &self.bytes()[..at];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = at - line_start + 1;
        format!(":{line}:{column}")
    }
}
