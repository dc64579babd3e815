//! Splits SQL text into tokens, so that quoted text and comments are not taken for statements.
//!
//! This is not a parser: it knows what may hide a `;` or a word on each database, and nothing of grammar.

use sea_orm::DbBackend;

/// A token of SQL text. Quoted text and comments that the database ignores are no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a name without quotes.
    Word(&'a str),
    /// A string, a quoted name or a dollar-quoted text, with its quotes.
    Quoted(&'a str),
    /// `;`
    End,
    /// Any other character that is not white space.
    Other(char),
}

impl Token<'_> {
    /// Whether it is this keyword, in any case.
    pub(super) fn is(self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// The tokens of `sql`. Quoted text that does not end runs to the end, as it does for the database.
///
/// Sources of the rules: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>,
/// <https://mariadb.com/kb/en/comment-syntax/>, <https://www.sqlite.org/lang_keywords.html>. On MySQL and MariaDB the default
/// `sql_mode` is assumed: a backslash escapes in strings, and `"` quotes a string.
pub(super) fn tokens(sql: &str, backend: DbBackend) -> impl Iterator<Item = Token<'_>> {
    let mut scanner = Scanner { rest: sql, before: None, backend };
    std::iter::from_fn(move || scanner.next_token())
}

struct Scanner<'a> {
    rest: &'a str,
    /// The word directly before the rest, which may be the prefix of a string (`E'...'`).
    before: Option<&'a str>,
    backend: DbBackend,
}

impl<'a> Scanner<'a> {
    fn next_token(&mut self) -> Option<Token<'a>> {
        loop {
            let first = self.rest.chars().next()?;
            if first.is_whitespace() {
                self.take(first.len_utf8());
                self.before = None;
            } else if let Some(length) = self.comment() {
                self.take(length);
                self.before = None;
            } else {
                break;
            }
        }
        let first = self.rest.chars().next()?;
        let prefix = self.before.take();
        if let Some(length) = self.quoted(first, prefix) {
            return Some(Token::Quoted(self.take(length)));
        }
        if is_of_word(first) {
            let length = self.rest.find(|c| !is_of_word(c)).unwrap_or(self.rest.len());
            let word = self.take(length);
            self.before = Some(word);
            return Some(Token::Word(word));
        }
        self.take(first.len_utf8());
        Some(if first == ';' { Token::End } else { Token::Other(first) })
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// The length of the comment that the rest begins with. Of a comment whose text MySQL and MariaDB execute
    /// (`/*!40101 ... */`) only the marks are one.
    fn comment(&self) -> Option<usize> {
        let rest = self.rest;
        let mysql = self.backend == DbBackend::MySql;
        let line = |rest: &str| rest.find('\n').unwrap_or(rest.len());
        if let Some(comment) = rest.strip_prefix("--") {
            // On MySQL and MariaDB `1--1` is a subtraction.
            let is_comment = !mysql || comment.chars().next().is_none_or(|c| c.is_whitespace() || c.is_control());
            return is_comment.then(|| line(rest));
        }
        if mysql && rest.starts_with('#') {
            return Some(line(rest));
        }
        if mysql && rest.starts_with("*/") {
            return Some(2);
        }
        let inner = rest.strip_prefix("/*")?;
        if mysql && let Some(executed) = inner.strip_prefix('!').or_else(|| inner.strip_prefix("M!")) {
            let version = executed.len() - executed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            return Some(rest.len() - executed.len() + version);
        }
        Some(if self.backend == DbBackend::Postgres { nested_comment(rest) } else { 2 + to_end_of(inner, "*/") })
    }

    /// The length of the quoted text that the rest begins with.
    fn quoted(&self, first: char, prefix: Option<&str>) -> Option<usize> {
        let mysql = self.backend == DbBackend::MySql;
        match (first, self.backend) {
            ('\'', DbBackend::Postgres) => {
                let escapes = prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("e"));
                Some(self.to_quote(first, escapes))
            }
            ('\'' | '"', _) => Some(self.to_quote(first, mysql)),
            ('`', DbBackend::MySql | DbBackend::Sqlite) => Some(self.to_quote(first, false)),
            ('[', DbBackend::Sqlite) => Some(1 + to_end_of(&self.rest[1..], "]")),
            // Within a word `$` is a part of it.
            ('$', DbBackend::Postgres) if prefix.is_none() => {
                let mark = dollar_quote(self.rest)?;
                Some(mark.len() + to_end_of(&self.rest[mark.len()..], mark))
            }
            _ => None,
        }
    }

    /// The length up to the quote that ends what the rest begins with; a doubled quote does not end it.
    fn to_quote(&self, quote: char, backslash_escapes: bool) -> usize {
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && backslash_escapes {
                chars.next();
            } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
                return at + c.len_utf8();
            }
        }
        self.rest.len()
    }
}

/// The length up to and with `end`, or of all.
fn to_end_of(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |at| at + end.len())
}

/// The length of a comment that may hold comments.
fn nested_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            match text[at..].chars().next() {
                Some(c) => at += c.len_utf8(),
                None => return at,
            }
        }
    }
}

/// The `$tag$` that the text begins with; `$1` is a parameter.
fn dollar_quote(text: &str) -> Option<&str> {
    let tag = text.strip_prefix('$')?;
    let length = tag.find(|c| !is_of_word(c))?;
    let is_quote = tag[length..].starts_with('$') && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_quote.then(|| &text[..length + 2])
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() && !c.is_whitespace()
}
