//! A statement in the making: text, and the values bound so far.

use sea_orm::{DbBackend, Statement, Value};

use super::Dialect;
use super::bindable::{bindable, without_nul};

/// SQL text with its values.
pub(crate) struct Sql<'d> {
    dialect: &'d dyn Dialect,
    text: String,
    values: Vec<Value>,
}

impl<'d> Sql<'d> {
    pub(crate) fn new(dialect: &'d dyn Dialect) -> Self {
        Self { dialect, text: String::new(), values: Vec::new() }
    }

    pub(crate) fn dialect(&self) -> &'d dyn Dialect {
        self.dialect
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        let quoted = self.dialect.quoted(&without_nul(name));
        self.push(&quoted)
    }

    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(self.dialect.value(bindable(value.into())));
        let placeholder = self.dialect.placeholder(self.values.len());
        self.push(&placeholder)
    }

    /// `(?, ?, ?)`
    pub(crate) fn list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.push("(");
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(")")
    }

    /// The same list for a set, with the last value repeated, so that there are few texts: each number of placeholders is another
    /// statement, which drivers and servers keep prepared. Up to 1,024 values the lengths are powers of two, beyond multiples of 1,024;
    /// very long lists are rare, stay as they are, and so below the databases' limits.
    pub(crate) fn set<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        const STEP: usize = 1_024;
        const LONG: usize = 16 * STEP;
        let mut values: Vec<Value> = values.into_iter().map(Into::into).collect();
        if let Some(last) = values.last().filter(|_| values.len() <= LONG).cloned() {
            let length = values.len();
            values
                .resize(if length <= STEP { length.next_power_of_two() } else { length.next_multiple_of(STEP) }, last);
        }
        self.list(values)
    }

    pub(crate) fn statement(self, backend: DbBackend) -> Statement {
        Statement::from_sql_and_values(backend, self.text, self.values)
    }
}
