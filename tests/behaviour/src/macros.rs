//! The macros that make a test for each database.

/// Makes one `#[tokio::test]` for each database and test: `async fn name(db: &TestDb)`, which is given a database with all
/// tables, or with `on_every_empty_database!` without any.
///
/// What is about some databases only stands below their names, with the reason.
///
/// ```text
/// on_every_database! {
///     what_is_true_everywhere
///     ; sqlite_only:
///     what_only_a_file_has
///     ; servers_only:
///     what_only_servers_have
///     ; postgres_only:
///     what_only_this_one_has
///     ; mysql_only:
///     what_only_that_one_has
/// }
/// ```
#[macro_export]
macro_rules! on_every_database {
    ($($tests:tt)*) => {
        $crate::tests_of! { migrated: $($tests)* }
    };
}

/// As [`on_every_database!`], on databases without any table.
#[macro_export]
macro_rules! on_every_empty_database {
    ($($tests:tt)*) => {
        $crate::tests_of! { empty: $($tests)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of {
    (
        $database:ident:
        $($every:ident)*
        $(; sqlite_only: $($sqlite:ident)*)?
        $(; servers_only: $($server:ident)*)?
        $(; postgres_only: $($postgres:ident)*)?
        $(; mysql_only: $($mysql:ident)*)?
    ) => {
        mod sqlite {
            $crate::tests_on! { Sqlite $database: $($every)* $($($sqlite)*)? }
        }
        mod postgres {
            $crate::tests_on! { Postgres $database: $($every)* $($($server)*)? $($($postgres)*)? }
        }
        mod mysql {
            $crate::tests_on! { MySql $database: $($every)* $($($server)*)? $($($mysql)*)? }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! tests_on {
    ($kind:ident $database:ident: $($test:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            if let Some(db) = $crate::TestDb::$database($crate::Kind::$kind, stringify!($test)).await {
                super::$test(&db).await;
            }
        }
    )*};
}
