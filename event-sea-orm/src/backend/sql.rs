//! A statement in the making: text, and the values bound so far.

use sea_orm::{DbBackend, Statement, Value};

use super::Dialect;

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
        let quoted = self.dialect.quoted(name);
        self.push(&quoted)
    }

    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(self.dialect.value(value.into()));
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

    pub(crate) fn statement(self, backend: DbBackend) -> Statement {
        Statement::from_sql_and_values(backend, self.text, self.values)
    }
}
